"""Scenes whose displacement is known, grids, and the chunkings that must not matter.

Scenes are band-limited and periodic on a domain larger than what is cut from
them, so a phase ramp on their spectrum moves them by any real shift exactly.
"""

import contextlib
import importlib.util
import os
import re
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import dask
import hypothesis
import numpy as np
import pytest
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr

from xsubpix.errors import SubpixError
from xsubpix.files.journal import BlockFile

hypothesis.settings.register_profile(
    "xsubpix",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("xsubpix")

MARGIN = 24
# What an extra brings first of all.
EXTRAS = {
    "database": "zarr", "distributed": "distributed", "explore": "bokeh", "geo": "geopandas",
    "micmac": "numba", "netcdf": "netCDF4", "opencv": "cv2", "plot": "matplotlib",
    "warp": "interpol",
}  # fmt: skip
LACKING = {extra for extra, module in EXTRAS.items() if importlib.util.find_spec(module) is None}


def pytest_configure(config: pytest.Config) -> None:
    """Let pass what rioxarray 0.19 does with affine 3."""
    config.addinivalue_line("filterwarnings", "ignore:Use `@` matmul:PendingDeprecationWarning")


# The longest ones begin, so that no process ends with one of them while the others wait.
LONGEST = ("test_gpu_script.py", "test_notebook.py", "test_distributed.py", "test_loop.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests: the longest files first, all else as it is."""
    order = {name: k for k, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def needs_extra() -> Generator[None, object, object]:
    """Skip what ends in the sentence that names a missing extra; any other error is one."""
    try:
        return (yield)
    except SubpixError as error:
        named = re.search(r"pip install '?xsubpix\[(\w+)\]", str(error))
        if named and named[1] in LACKING:
            pytest.skip(str(error))
        raise


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, object, object]:
    """Fixtures may need an extra."""
    return (yield from needs_extra())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """So may tests."""
    return (yield from needs_extra())


def make_scene(
    shape: tuple[int, int], shift: tuple[float, float] = (0.0, 0.0), seed: int = 0
) -> np.ndarray:
    """Texture of mean 100 and deviation 20 or so, float32, moved by `shift` = (dx, dy) pixels.

    Its spectrum falls off as 1/f and ends at 0.35 cycles per pixel.
    """
    padded = tuple(n + 2 * MARGIN for n in shape)
    spectrum = np.fft.rfft2(np.random.default_rng(seed).normal(size=padded))
    fy, fx = np.fft.fftfreq(padded[0])[:, None], np.fft.rfftfreq(padded[1])
    f = np.hypot(fy, fx)
    f[0, 0] = 1.0
    spectrum *= (f < 0.35) / f
    spectrum[0, 0] = 0.0
    still = np.fft.irfft2(spectrum, s=padded)
    dx, dy = shift
    moved = np.fft.irfft2(spectrum * np.exp(-2j * np.pi * (fx * dx + fy * dy)), s=padded)
    inner = moved[MARGIN : MARGIN + shape[0], MARGIN : MARGIN + shape[1]]
    return (100.0 + 20.0 / still.std() * inner).astype(np.float32)


def make_image(pixels: np.ndarray, dims: tuple[str, str] = ("y", "x")) -> xr.DataArray:
    """An image without coordinates."""
    return xr.DataArray(pixels, dims=dims)


def make_utm(
    pixels: np.ndarray, *, north_up: bool = True, size: float = 10.0, crs: str = "EPSG:32611"
) -> xr.DataArray:
    """An image on a projected grid, rows running either way."""
    rows, cols = pixels.shape
    y = 4_000_000.0 + size * (np.arange(rows) + 0.5) * (-1 if north_up else 1)
    x = 500_000.0 + size * (np.arange(cols) + 0.5)
    image = xr.DataArray(pixels, dims=("y", "x"), coords={"y": y, "x": x})
    return image.rio.write_crs(crs)


def assert_identical(one: xr.Dataset, two: xr.Dataset) -> None:
    """Same pixels to the last bit (NaN where NaN), same coordinates, same attributes."""
    assert list(one.data_vars) == list(two.data_vars)
    for name in one.data_vars:
        a, b = one[name].values, two[name].values
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, err_msg=str(name))
    xr.testing.assert_identical(one.compute(), two.compute())


@contextlib.contextmanager
def interrupted_writing(blocks: int) -> Iterator[None]:
    """Interrupt what is written block by block within, on one thread."""
    put, count = BlockFile.put, []

    def stop(self: BlockFile, *args: Any) -> None:
        count.append(1)
        if len(count) > blocks:
            raise KeyboardInterrupt
        put(self, *args)

    with pytest.MonkeyPatch.context() as patch, dask.config.set(num_workers=1):
        patch.setattr(BlockFile, "put", stop)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.fixture(scope="session")
def scene() -> Callable[..., np.ndarray]:
    """``scene(shape, shift=(dx, dy), seed=0)``: float32 pixels moved by `shift`."""
    return make_scene


@pytest.fixture(scope="session")
def image() -> Callable[..., xr.DataArray]:
    """``image(pixels)``: dimensions y, x and no coordinates."""
    return make_image


@pytest.fixture(scope="session")
def utm() -> Callable[..., xr.DataArray]:
    """``utm(pixels, north_up=True, size=10.0, crs=...)``: a georeferenced image."""
    return make_utm


@pytest.fixture(scope="session")
def stopped_after() -> Callable[[int], AbstractContextManager[None]]:
    """``with stopped_after(blocks)``: writing is interrupted once so many blocks are there."""
    return interrupted_writing


@pytest.fixture(scope="session")
def identical() -> Callable[[xr.Dataset, xr.Dataset], None]:
    """``identical(a, b)``: assert equality bit for bit."""
    return assert_identical


@pytest.fixture(scope="session")
def pair() -> tuple[xr.DataArray, xr.DataArray]:
    """A bare pair of 75 x 91 pixels that moved by (dx, dy) = (1.3, -0.7)."""
    shape = (75, 91)
    return make_image(make_scene(shape)), make_image(make_scene(shape, (1.3, -0.7)))


# None is NumPy; the others are dask chunks of pre and of post for the pair above. Windows of
# 12 px with a search of 6 make a halo of 12 px: "thin" and "slivers" are below it.
CHUNKINGS = {
    "numpy": (None, None),
    "one": ((-1, -1), (-1, -1)),
    "even": ((25, 30), (25, 30)),
    "ragged": (((7, 40, 1, 27), (64, 3, 24)), ((7, 40, 1, 27), (64, 3, 24))),
    "thin": ((5, 7), (5, 7)),
    "slivers": (((1, 1, 72, 1), (1, 89, 1)), ((73, 1, 1), (88, 1, 1, 1))),
    "different": (((50, 25), (91,)), ((10, 65), (30, 31, 30))),
    "lazy pre": ((32, 32), None),
    "lazy post": (None, (32, 32)),
}


@pytest.fixture(params=CHUNKINGS)
def chunked(request: pytest.FixtureRequest) -> Callable[..., tuple[xr.DataArray, xr.DataArray]]:
    """``chunked(pre, post)``: the pair of (75, 91) pixels under one of the chunkings."""

    def apply(pre: xr.DataArray, post: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
        out = []
        for im, chunks in zip((pre, post), CHUNKINGS[request.param], strict=True):
            if chunks is not None:
                im = im.chunk(dict(zip(("y", "x"), chunks, strict=True)))
            out.append(im)
        return out[0], out[1]

    return apply


@pytest.fixture(autouse=True)
def _few_threads():
    """Keep dask from running more threads than a shared machine bears."""
    with dask.config.set(num_workers=2):
        yield


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """``with full_disk(room):`` no file grows beyond so many bytes: writing more is an error."""
    resource = pytest.importorskip("resource", reason="limits of POSIX")

    @contextlib.contextmanager
    def limited(room: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)

    return limited


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of real images; tests that need it are skipped where it is absent."""
    folder = os.environ.get("XSUBPIX_DATA")
    default = Path(__file__).parents[1].parent / "shared" / "data"
    path = Path(folder) if folder else default
    if not path.is_dir():
        pytest.skip(f"no real images: {path} is absent (set XSUBPIX_DATA)")
    return path
