"""Scenes of kite, with which pyrocko's grond reads displacement for models of slip."""

from __future__ import annotations

import json
import math
import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .._version import __version__
from ..atomic import replace_file
from ..displacement.field import Field
from ..displacement.flagged import sure_field
from ..errors import DataError, GridError
from .sources import files_read_by
from .writing import new_target, removed_at_exit, writing_errors_named

__all__ = ["to_kite"]

# Horizontal angle of each component's direction, radians counter-clockwise from east.
_PHI = {"east": 0.0, "north": math.pi / 2}
# Vertical direction: elevation of a quarter turn.
_UP = math.pi / 2


def to_kite(
    disp: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    keep_unsure: bool = False,
    overwrite: bool = False,
) -> None:
    """Write the components of a field as scenes of kite.

    kite (https://pyrocko.org/kite) makes its own quadtree and covariance of a scene, for
    inversions by grond. A scene is displacement along one direction, so each component is one:
    ``NAME_east.npz`` and ``NAME_east.yml``, ``NAME_north``, and ``NAME_up`` where there is one;
    open them with ``kite.Scene.load("NAME_east.yml")``.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north`` on an upright grid with a CRS in metres or degrees; a lazy
        field is computed.
    path : str or path
        ``NAME`` or ``NAME.npz``.
    keep_unsure : bool
        Write values flagged as unsure too; by default they are NaN.
    overwrite : bool
        Replace existing files.

    Raises
    ------
    FileError
        The folder is not there, a file exists, or it cannot be written.
    DataError
        `disp` is not a displacement field.
    GridError
        The grid is rotated, or has no CRS.

    Notes
    -----
    The array ``arr_0`` is the displacement in metres, its first row the southernmost;
    ``arr_1`` the elevation and ``arr_2`` the horizontal angle of its direction, radians.
    The frame of the scene is that of the map: its grid north is taken for true north, from
    which it differs by the convergence, up to 3 degrees at the edge of a UTM zone. kite 1.5.8
    (with pyrocko 2026.6) opens these files, in metres and in degrees, and makes its quadtree.

    Examples
    --------
    >>> from xsubpix.tutorial import example_earthquake, procedural_scene
    >>> post, truth = example_earthquake(procedural_scene((64, 64)))
    >>> xsubpix.to_kite(truth, "quake.npz")
    >>> np.load("quake_east.npz")["arr_0"].shape
    (64, 64)
    """
    field, _ = sure_field(Field.of(disp).loaded(), keep_unsure)
    frame = _frame(field)
    given = Path(path)
    stem = given.with_suffix("") if given.suffix in (".npz", ".yml") else given
    sources = files_read_by(disp)
    targets = {
        name: [
            new_target(stem.with_name(f"{stem.name}_{name}{suffix}"), overwrite, sources=sources)
            for suffix in (".npz", ".yml")
        ]
        for name in field.components
    }
    for name, (data, config) in targets.items():
        values = _northward(field, np.asarray(field.array(name), np.float64))
        theta = np.full(values.shape, _UP if name == "up" else 0.0)
        phi = np.full(values.shape, _PHI.get(name, 0.0))
        parts = [p.with_name(f".{p.name}.{uuid.uuid4().hex[:8]}.partial") for p in (data, config)]
        with writing_errors_named(data), removed_at_exit(*parts):
            with parts[0].open("wb") as file:
                np.savez(file, arr_0=values, arr_1=theta, arr_2=phi)
            parts[1].write_text(_config(disp, name, frame), encoding="utf-8")
            for part, target in zip(parts, (data, config), strict=True):
                replace_file(part, target)


def _frame(field: Field) -> dict[str, Any]:
    """Place of the first pixel of a scene, the south-western one, and the pixels' sides."""
    grid = field.grid
    if grid.crs is None or grid.is_rotated:
        fix = (
            "name it, disp = disp.rio.write_crs(...)"
            if grid.crs is None
            else "bring the field to one, disp.rio.reproject(disp.rio.crs)"
        )
        what = "no CRS" if grid.crs is None else "a rotated grid"
        raise GridError(f"disp has {what}, and scenes of kite lie upright on the map: {fix}.")
    scale = grid.metres_per_unit
    if scale is None and not grid.crs.is_geographic:
        raise GridError("disp is neither in metres nor in degrees: reproject it to UTM.")
    x, y = grid.at(np.array([0, grid.shape[0] - 1]), np.array([0, grid.shape[1] - 1]))
    west, south = float(np.min(x)), float(np.min(y))
    lon, lat = west, south
    if not grid.crs.is_geographic:
        import pyproj

        to = pyproj.Transformer.from_crs(grid.crs, "OGC:CRS84", always_xy=True)
        lon, lat = to.transform(west, south)
    factor = 1.0 if scale is None else scale
    return {
        "llLat": float(lat), "llLon": float(lon),
        "dN": abs(grid.transform.e) * factor, "dE": abs(grid.transform.a) * factor,
        "spacing": "degree" if grid.crs.is_geographic else "meter",
    }  # fmt: skip


def _northward(field: Field, values: np.ndarray) -> np.ndarray:
    """Values with their first row in the south and their first column in the west."""
    if field.grid.units != "m":
        raise DataError("disp is not in metres, and scenes of kite are.")
    transform = field.grid.transform
    values = values[::-1] if transform.e < 0 else values
    return values[:, ::-1] if transform.a < 0 else values


def _config(disp: xr.Dataset, name: str, frame: dict[str, Any]) -> str:
    """Configuration of a scene, YAML with the names of kite's classes."""
    times = []
    for label, when in (("time_master", "reference_time"), ("time_slave", "secondary_time")):
        if when in disp.coords and disp[when].ndim == 0:
            stamp = str(np.datetime_as_string(disp[when].values, unit="s")).replace("T", " ")
            times.append(f"  {label}: {stamp}")
    title = json.dumps(f"displacement {name}, by xsubpix {__version__}")
    lines = [
        "--- !kite.scene.SceneConfig",
        "meta: !kite.scene.Meta",
        f"  scene_title: {title}",
        f"  scene_id: {json.dumps(name)}",
        f"  satellite_name: {json.dumps(str(disp.attrs.get('model', 'optical images')))}",
        *times,
        "frame: !kite.scene.FrameConfig",
        *(f"  {key}: {value}" for key, value in frame.items()),
    ]
    return "\n".join(lines) + "\n"
