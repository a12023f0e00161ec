"""The demo: an earthquake on a satellite image, measured, in a minute."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import xarray as xr

from .correlate import correlate
from .displacement import epe, rotate
from .errors import FileError
from .estimators import Flag
from .files.geotiff import to_cog
from .files.writing import new_target
from .plot import plot_comparison
from .progress import progress_bar, say
from .rupture import Fault
from .tutorial import example_earthquake, open_scene

__all__ = ["run_demo"]

# What is compared; the first one is shown and written.
MODELS: dict[str, dict[str, Any]] = {
    "unet": {},
    "cosi-corr": {"window": 32},
    "phase": {"window": 32},
}
# "Near the fault": within this distance of the trace, pixels.
NEAR = 16
# Values with one of these flags are left out, as a careful user would.
UNSURE = Flag.UNSURE
# Rows and columns at the border that the table leaves out, as is usual.
BORDER = 32


def run_demo(
    folder: Path, size: int = 512, step: int | None = None, *, overwrite: bool = False
) -> str:
    """Make an earthquake, measure it, write a picture and a GeoTIFF, return a table.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is not there; gets ``demo.png`` and ``demo.tif``.
    size : int
        Side of the scene, pixels.
    step : int, optional
        Distance of neighbouring measurements, pixels; each model's own by default.
    overwrite : bool
        Replace the picture and the GeoTIFF of an earlier demo.

    Raises
    ------
    FileError
        The folder cannot be made, or holds a demo already.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"cannot make the folder {folder}: {error}") from error
    for name in ("demo.png", "demo.tif"):
        new_target(folder / name, overwrite)
    say("1/4  opening a scene")
    pre = open_scene(size)
    name = pre.attrs.get("long_name", "scene")
    say(f"     {name}, {pre.shape[0]} x {pre.shape[1]} pixels of 10 m")
    say("2/4  breaking the ground: elastic rupture, quintic warp, another season and sensor")
    post, truth = example_earthquake(pre)
    rows = []
    say("3/4  correlating")
    fields: list[tuple[xr.Dataset, xr.Dataset]] = []
    for model, options in MODELS.items():
        start = time.perf_counter()
        with progress_bar():
            disp = correlate(pre.chunk(), post.chunk(), model=model, step=step, **options).compute()
        seconds = time.perf_counter() - start
        sure = disp.where((disp.flags & UNSURE) == 0)
        label = f"{model}, window {options['window']}" if options else model
        rows.append((label, *_errors(sure, truth), seconds))
        fields.append((disp, sure))
    measured, sure = fields[0]
    nothing = xr.zeros_like(measured[["east", "north"]])
    rows.append(("zero predictor", *_errors(nothing, truth), 0.0))
    say("4/4  writing the picture and the GeoTIFF")
    figure = plot_comparison(pre, post, sure, truth, title=f"xsubpix demo: {rows[0][0]}")
    figure.savefig(folder / "demo.png")
    to_cog(measured, folder / "demo.tif", overwrite=overwrite)
    lines = ["method                  mean EPE   median  near fault   kept  seconds"]
    lines += [
        f"{label:<22} {mean:7.2f} m {median:6.2f} m {near:9.2f} m {kept:6.1%} {seconds:8.1f}"
        for label, mean, median, near, kept, seconds in rows
    ]
    lines += [
        f"End-point error over all pixels (10 m) but a border of {BORDER}; near: within {NEAR} px",
        "of the trace; kept: not flagged as unsure.",
        f"picture: {folder / 'demo.png'}    field, for any GIS: {folder / 'demo.tif'}",
    ]
    return "\n".join(lines)


def _errors(disp: xr.Dataset, truth: xr.Dataset) -> tuple[float, float, float, float]:
    """Mean and median end-point error, the mean near the trace, and the share of values."""
    error = epe(disp, truth)
    pixel = float(abs(truth.x[1] - truth.x[0]))
    distance = rotate(disp, Fault.from_json(truth.attrs["fault"])).distance
    trace = abs(distance).transpose(*error.dims) / pixel
    border = round(BORDER * error.sizes["y"] / truth.sizes["y"])
    inner = {"y": slice(border, -border), "x": slice(border, -border)}
    error, trace = error.isel(inner), trace.isel(inner)
    near = error.where(trace <= NEAR)
    return (
        float(error.mean()),
        float(error.median()),
        float(near.mean()),
        float(error.notnull().mean()),
    )
