"""Every method of the benchmark of correlators behind one function.

``method(pre, post)`` takes two images (rows, columns) and returns ``rows, cols, dy, dx``:
the places of the measurements, 1-D, and the displacements there, 2-D, pixels. Packages
are imported when a method is made, so that one which is not installed is left out.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

Result: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Method: TypeAlias = Callable[[np.ndarray, np.ndarray], Result]

WINDOW, STEP = 32, 4


def zero(pre: np.ndarray, post: np.ndarray) -> Result:
    """No displacement anywhere: what every method has to beat."""
    rows, cols = (np.arange(n) for n in pre.shape)
    return rows, cols, np.zeros(pre.shape), np.zeros(pre.shape)


def ours(model: str, **options: Any) -> Method:
    """A model of this package."""
    import xsubpix

    def run(pre: np.ndarray, post: np.ndarray) -> Result:
        images = (xr.DataArray(i.astype(np.float32), dims=("y", "x")) for i in (pre, post))
        disp = xsubpix.correlate(*images, model=model, **options)
        step = disp.attrs["model_step"]
        rows, cols = (step * np.arange(n) + (step - 1) / 2 for n in disp.east.shape)
        return rows, cols, disp.north.values, disp.east.values

    return run


def skimage_loop() -> Method:
    """Guizar-Sicairos' method as scikit-image has it, window by window, Hann-tapered."""
    from skimage.registration import phase_cross_correlation

    taper = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW) ** 2
    taper = taper[:, None] * taper

    def run(pre: np.ndarray, post: np.ndarray) -> Result:
        starts = [np.arange(0, n - WINDOW + 1, STEP) for n in pre.shape]
        found = np.empty((2, starts[0].size, starts[1].size))
        for i, r in enumerate(starts[0]):
            for j, c in enumerate(starts[1]):
                one, two = (im[r : r + WINDOW, c : c + WINDOW] for im in (pre, post))
                shift, _, _ = phase_cross_correlation(
                    taper * (one - one.mean()), taper * (two - two.mean()),
                    upsample_factor=100, normalization=None,
                )  # fmt: skip
                found[:, i, j] = -shift
        rows, cols = (s + (WINDOW - 1) / 2 for s in starts)
        return rows, cols, *found

    return run


def skimage_flow(name: str, **options: Any) -> Method:
    """A dense method of scikit-image."""
    import skimage.registration

    function = getattr(skimage.registration, name)

    def run(pre: np.ndarray, post: np.ndarray) -> Result:
        dy, dx = function(*_unit(pre, post), **options)
        return np.arange(pre.shape[0]), np.arange(pre.shape[1]), dy, dx

    return run


def farneback(window: int) -> Method:
    """OpenCV's Farneback."""
    import cv2

    def run(pre: np.ndarray, post: np.ndarray) -> Result:
        cv2.setNumThreads(1)
        grey = [np.rint(255 * image).astype(np.uint8) for image in _unit(pre, post)]
        flow = cv2.calcOpticalFlowFarneback(*grey, None, 0.5, 3, window, 10, 7, 1.5, 0)
        return np.arange(pre.shape[0]), np.arange(pre.shape[1]), flow[..., 1], flow[..., 0]

    return run


def openpiv() -> Method:
    """OpenPIV, windows of 64, 32, 16 px with deformation, its own validation."""
    from openpiv import windef

    def run(pre: np.ndarray, post: np.ndarray) -> Result:
        settings = windef.PIVSettings()
        settings.windowsizes, settings.overlap = (64, 32, 16), (32, 16, 8)
        settings.num_iterations = 3
        with contextlib.redirect_stdout(io.StringIO()):
            x, y, u, v, _ = windef.simple_multipass(
                pre.astype(np.float32), post.astype(np.float32), settings
            )
        # Its y runs upwards, its rows do not.
        return y[::-1, 0], x[0], -np.asarray(v), np.asarray(u)

    return run


def pyxel() -> Method:
    """Pyxel's finite-element image correlation: squares of 16 px, regularised over 32 px."""
    import pyxel as px

    def run(pre: np.ndarray, post: np.ndarray) -> Result:
        images = []
        for pixels in (pre, post):
            image = px.Image("none")
            image.pix = pixels.astype(float)
            image.BuildInterp()
            images.append(image)
        height, width = pre.shape
        with contextlib.redirect_stdout(io.StringIO()):
            # Its y runs upwards.
            box = np.array([[16.0, 16 - height], [width - 16, -16]])
            mesh, camera = px.StructuredMesh(box, 16, typel=3), px.Camera(2)
            mesh.Connectivity()
            first = px.MultiscaleInit(*images, mesh, camera, scales=[2, 1], l0=32, disp=False)
            mesh.DICIntegrationFast(16)
            found, _ = px.Correlate(*images, mesh, camera, U0=first, l0=32, disp=False)
        rows, cols = np.unique(-mesh.n[:, 1]), np.unique(mesh.n[:, 0])
        i, j = np.searchsorted(rows, -mesh.n[:, 1]), np.searchsorted(cols, mesh.n[:, 0])
        dy, dx = np.full((2, rows.size, cols.size), np.nan)
        dx[i, j], dy[i, j] = found[mesh.conn[:, 0]], -found[mesh.conn[:, 1]]
        return rows, cols, dy, dx

    return run


def _unit(pre: np.ndarray, post: np.ndarray) -> list[np.ndarray]:
    """Both images stretched to 0..1 between their percentiles, as users would."""
    out = []
    for image in (pre, post):
        low, high = np.percentile(image, (0.5, 99.5))
        out.append(np.clip((image - low) / (high - low), 0, 1).astype(np.float32))
    return out


#: Name in the table to the maker of the method.
METHODS: dict[str, Callable[[], Method]] = {
    "zero": lambda: zero,
    "phase": lambda: ours("phase", window=WINDOW, step=STEP),
    "cosi-corr": lambda: ours("cosi-corr", window=WINDOW, step=STEP),
    "micmac": lambda: ours("micmac"),
    "OpenCV DeepFlow (deepflow)": lambda: ours("deepflow"),
    "OpenCV DIS, tuned (dis)": lambda: ours("dis"),
    "OpenCV TV-L1 (tvl1)": lambda: ours("tvl1"),
    "OpenCV Farneback 25": lambda: farneback(25),
    "OpenCV Farneback 51": lambda: farneback(51),
    "scikit-image NCC, loop": skimage_loop,
    "scikit-image ILK": lambda: skimage_flow("optical_flow_ilk", radius=15),
    "scikit-image TV-L1": lambda: skimage_flow("optical_flow_tvl1"),
    "OpenPIV 64-32-16": openpiv,
    "pyxel FE-DIC": pyxel,
}
