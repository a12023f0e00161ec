"""Results on the device against those of the CPU."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import torch
import xarray as xr

import xsubpix
from xsubpix.networks import available_networks
from xsubpix.networks.cards import shipped_models

from .common import Row, Rows, Settings, below, pair, precision, random_weights, row

# Largest difference, pixels; and the same where numbers are rounded to bfloat16 or TF32.
MOST = 1e-3
MOST_ROUNDED = 0.05


def steps(settings: Settings) -> Rows:
    """Every network, window correlators, the warp, dislocations."""
    yield from networks(settings)
    yield from correlators(settings)
    yield from warps(settings)
    yield dislocations(settings)


def field(images: list[xr.DataArray], model: str, device: str, **options: object) -> np.ndarray:
    """East and north, pixels."""
    disp = xsubpix.correlate(*images, model=model, device=device, **options)
    return np.stack([disp.east.values, disp.north.values])


def apart(one: np.ndarray, two: np.ndarray) -> float:
    """Largest difference; infinite where only one of them has a value, or neither anywhere."""
    if not np.isfinite(one).any() or not np.array_equal(np.isfinite(one), np.isfinite(two)):
        return float("inf")
    return float(np.nanmax(np.abs(one - two), initial=0.0))


def networks(settings: Settings) -> Rows:
    """Single precision is judged; roundings are told apart."""
    images = [xr.DataArray(p, dims=("y", "x")) for p in pair(settings.side)]
    for name in available_networks():
        shipped = settings.cuda and name in shipped_models()
        model = name if shipped else random_weights(settings, name)
        options = {"tile_size": settings.windows[0]}
        with precision("float32"):
            expected = field(images, model, "cpu", **options)
            got = field(images, model, settings.device, **options)
        yield below(f"{name}, single precision", apart(got, expected), MOST, "px")
        if name == "unet" or settings.cuda:
            for kind in ("tf32", "bfloat16"):
                with precision(kind):
                    got = field(images, model, settings.device, **options)
                rms = float(np.sqrt(np.nanmean((got - expected) ** 2)))
                if shipped:
                    yield below(f"{name}, {kind}, rms", rms, MOST_ROUNDED, "px")
                else:
                    yield row(f"{name}, {kind}, rms (random weights)", rms, "px")


def correlators(settings: Settings) -> Rows:
    """Both window correlators."""
    images = [xr.DataArray(p, dims=("y", "x")) for p in pair(settings.side)]
    for model in ("phase", "cosi-corr"):
        options = {"window": 32, "step": 8}
        expected = field(images, model, "cpu", **options)
        got = field(images, model, settings.device, **options)
        yield below(model, apart(got, expected), MOST, "px")


def warps(settings: Settings) -> Rows:
    """Values against SciPy's; gradients against those of the CPU."""
    from xsubpix.kernels.spline import sample_quintic
    from xsubpix.kernels.spline_torch import sample_quintic_torch

    side = min(settings.side, 256)
    image = np.nan_to_num(pair(side)[0], nan=1000.0).astype(np.float64)
    rows, cols = np.mgrid[8 : side - 8, 8 : side - 8] + 0.3
    expected = sample_quintic(image, rows, cols, oversample=1)
    gradients = []
    for device in ("cpu", settings.device):
        tensors = [torch.tensor(x, device=device) for x in (image, rows, cols)]
        for tensor in tensors:
            tensor.requires_grad_(True)
        values = sample_quintic_torch(*tensors)
        values.square().mean().backward()
        gradients.append([tensor.grad.cpu().numpy() for tensor in tensors])
    share = np.abs(values.detach().cpu().numpy() - expected).max() / np.ptp(image)
    yield below("warp, share of the image's range", float(share), 1e-5, "")
    worst = max(
        float(np.abs(a - b).max() / np.abs(a).max())
        for a, b in zip(gradients[0], gradients[1], strict=True)
    )
    yield below("warp, gradients, relative", worst, 1e-6, "")


def dislocations(settings: Settings) -> Row:
    """Triangular dislocations on cutde's own choice of a backend, in a process of its own."""
    code = (
        "import numpy as np, sys, xsubpix.rupture.elastic as e\n"
        "p = np.random.default_rng(0).uniform(-9e3, 9e3, (2000, 2))\n"
        "t = np.array([[[0, -5e3, 0], [0, 5e3, 0], [10, 0, -8e3]]], float)\n"
        "np.save(sys.argv[1], e.surface_displacement(p, t, np.array([[2.0, 0.5, 0.0]])))\n"
        "print(e.backend_name())\n"
    )
    fields, names = [], []
    for backend in ("cpp", "cuda" if settings.cuda else "cpp"):
        path = os.path.join(settings.folder, f"dislocations-{len(fields)}.npy")
        run = subprocess.run(
            [sys.executable, "-c", code, path], env={**os.environ, "CUTDE_USE_BACKEND": backend},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if run.returncode:
            last = (run.stderr.strip().splitlines() or ["no message"])[-1]
            return row(f"dislocations, {backend}", f"failed: {last}", ok=False)
        fields.append(np.load(path))
        names.append(run.stdout.strip())
    if settings.cuda and names[1] != "cuda":
        return row("dislocations", f"cutde took {names[1]}: pycuda is missing", ok=False)
    return below(f"dislocations, {names[1]}", apart(fields[1], fields[0]) / 10, MOST, "px of 10 m")
