"""Inputs that people bring, and what becomes of each.

    python tests/hostile.py > docs/inputs.rst

writes the page of the documentation. ``test_hostile.py`` runs the same list.
"""

from __future__ import annotations

import pickle
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

import xsubpix
from xsubpix.errors import SubpixError

sys.path.insert(0, str(Path(__file__).parent))
import doors

SIDE, SHIFT = 96, 1.0
Pair = tuple[xr.DataArray, xr.DataArray]


ALL = "every pixel has a value"


def ground() -> tuple[np.ndarray, np.ndarray]:
    """A scene, and the same one column further right; integers below 250."""
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft2(rng.normal(size=(SIDE + 8, SIDE + 8)))
    fy, fx = np.fft.fftfreq(SIDE + 8)[:, None], np.fft.rfftfreq(SIDE + 8)
    f = np.hypot(fy, fx)
    f[0, 0] = 1
    texture = np.fft.irfft2(spectrum * (f < 0.3) / f)
    texture = np.rint(20 + 200 * (texture - texture.min()) / np.ptp(texture))
    return texture[4:-4, 4:-4].astype("f4"), texture[4:-4, 3:-5].astype("f4")


def bare(change: Callable[[np.ndarray], Any] = lambda a: a, **options: Any) -> Pair:
    """The pair without coordinates, each image changed."""
    return tuple(xr.DataArray(change(a), dims=("y", "x"), **options) for a in ground())  # type: ignore[return-value]


def placed(
    crs: str | None = "EPSG:32611", size: float = 10.0, x0: float = 5e5, y0: float = 4e6
) -> Pair:
    """The pair on a grid."""
    coords = {"y": y0 - size * np.arange(SIDE), "x": x0 + size * np.arange(SIDE)}
    pair = bare(coords=coords)
    return tuple(a.rio.write_crs(crs) if crs else a for a in pair)  # type: ignore[return-value]


def one_changed(pair: Pair, change: Callable[[xr.DataArray], Any]) -> Any:
    """Only the second image changed."""
    return pair[0], change(pair[1])


def huge(a: np.ndarray) -> np.ndarray:
    out = a.copy()
    out[40:44, 40:44] = 1e38
    return out


def far(a: np.ndarray) -> np.ndarray:
    out = a.astype("f8")
    out[40:44, 40:44] = 1e12
    return out


def wedge(a: np.ndarray) -> np.ndarray:
    beyond = np.add.outer(np.arange(SIDE), np.arange(SIDE)) < 60
    return np.where(beyond, 0, a).astype("u1")


def with_nan(a: np.ndarray) -> np.ndarray:
    out = a.copy()
    out[10:14, 20:60], out[50, 50] = np.nan, np.inf
    return out


def read_only(a: np.ndarray) -> np.ndarray:
    a.setflags(write=False)
    return a


def unknown_chunks(a: np.ndarray) -> Any:
    lazy = da.from_array(a, chunks=32)
    return lazy[da.from_array(np.ones(SIDE, bool), chunks=32)]


def rotated(pair: Pair, shear: float = 0.0) -> Pair:
    import rasterio

    transform = rasterio.Affine(8.0, 6.0 + shear, 5e5, 6.0, -8.0, 4e6)
    out = []
    for image in bare():
        image = image.rio.write_crs("EPSG:32611")
        out.append(image.rio.write_transform(transform))
    return out[0], out[1]


class NotAnArray:
    """Looks like an array of another library."""

    __array_priority__ = 1000
    shape, ndim, dtype, size = (SIDE, SIDE), 2, np.dtype("f4"), SIDE * SIDE

    def __array_function__(self, *args: Any, **kwargs: Any) -> Any:
        return NotImplemented

    def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
        return NotImplemented

    def __getitem__(self, key: Any) -> NotAnArray:
        return self


NO_AUTHORITY = (
    'PROJCS["home made",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],'
    'PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",-110],PARAMETER["scale_factor",'
    '0.9996],PARAMETER["false_easting",500000],PARAMETER["false_northing",0],UNIT["metre",1]]'
)

#: Label -> what makes the pair, and what is expected: ``"right"``, the displacement of one
#: column wherever there is data; ``"missing"``, no value and flags that say so; ``"refused"``,
#: an error of this package.
INPUTS: dict[str, tuple[Callable[[], Any], str]] = {
    "NaN and infinity in both images": (lambda: bare(with_nan), "right"),
    "all NaN": (lambda: bare(lambda a: np.full_like(a, np.nan)), "missing"),
    "a constant image": (lambda: bare(np.ones_like), "missing"),
    "one image constant": (lambda: one_changed(bare(), xr.ones_like), "missing"),
    "a single pixel": (lambda: bare(lambda a: a[:1, :1]), "refused"),
    "1 x N pixels": (lambda: bare(lambda a: a[:1]), "refused"),
    "no pixels": (lambda: bare(lambda a: a[:0]), "refused"),
    "booleans": (lambda: bare(lambda a: a > 120), "right"),
    "complex numbers": (lambda: bare(lambda a: a + 0j), "refused"),
    "objects": (lambda: bare(lambda a: a.astype(object)), "refused"),
    "text": (lambda: bare(lambda a: a.astype(str)), "refused"),
    "int64": (lambda: bare(lambda a: a.astype("i8") + 10**12), "right"),
    "uint8": (lambda: bare(lambda a: a.astype("u1")), "right"),
    "float64 of order 1e12": (lambda: bare(lambda a: a.astype("f8") * 1e12), "right"),
    "values of order 1e-30": (lambda: bare(lambda a: a * np.float32(1e-30)), "right"),
    "denormal numbers": (lambda: bare(lambda a: a * np.float32(1e-40)), "missing or right"),
    "a patch of 1e38": (lambda: bare(huge), "right"),
    "a patch of 1e12 in one image": (lambda: (bare()[0], bare(far)[1]), "right"),
    "negative zero": (lambda: bare(lambda a: np.where(a < 60, np.float32(-0.0), a)), "right"),
    "byte-swapped": (lambda: bare(lambda a: a.astype(">f4")), "right"),
    "read-only arrays": (lambda: bare(read_only), "right"),
    "non-contiguous arrays": (lambda: bare(lambda a: np.repeat(a, 2, 1)[:, ::2]), "right"),
    "columns first": (lambda: tuple(a.T for a in bare()), "right"),
    "one image columns first": (lambda: one_changed(bare(), lambda a: a.T), "right"),
    "dimensions of unknown names": (
        lambda: tuple(a.rename(y="u", x="v") for a in bare()), "refused",
    ),
    "duplicated coordinates": (
        lambda: tuple(a.assign_coords(x=np.r_[a.x[:1], a.x[:-1]]) for a in placed()), "refused",
    ),
    "unsorted coordinates": (
        lambda: tuple(a.isel(x=np.r_[1, 0, 2:SIDE]) for a in placed()), "refused",
    ),
    "uneven coordinates": (
        lambda: tuple(a.assign_coords(x=a.x + np.arange(SIDE) ** 2) for a in placed()), "refused",
    ),
    "rows upwards": (lambda: tuple(a.isel(y=slice(None, None, -1)) for a in placed()), "right"),
    "images of two UTM zones": (
        lambda: one_changed(placed(), lambda a: a.rio.write_crs("EPSG:32612")), "refused",
    ),
    "one image without CRS": (
        lambda: one_changed(placed(), lambda a: a.drop_vars("spatial_ref")), "refused",
    ),
    "images half a pixel apart": (
        lambda: one_changed(placed(), lambda a: a.assign_coords(x=a.x + 5)), "refused",
    ),
    "images 1e-7 m apart": (
        lambda: one_changed(placed(), lambda a: a.assign_coords(x=a.x + 1e-7)), "right",
    ),
    "images of other shapes": (lambda: one_changed(placed(), lambda a: a[:, :-1]), "refused"),
    "a CRS in WKT without authority": (lambda: placed(NO_AUTHORITY), "right"),
    "degrees (EPSG:4326)": (lambda: placed("EPSG:4326", 1e-4, 10.0, 45.0), "right"),
    "degrees across the antimeridian": (lambda: placed("EPSG:4326", 1e-4, 179.995, 45.0), "right"),
    "polar stereographic": (lambda: placed("EPSG:3031", 30.0, 1e6, 1e6), "right"),
    "a CRS with ellipsoidal height": (lambda: placed("EPSG:4979", 1e-4, 10.0, 45.0), "right"),
    "a rotated affine": (lambda: rotated(placed()), "right"),
    "a sheared affine": (lambda: rotated(placed(), 3.0), "right"),
    "band of size 1": (lambda: tuple(a.expand_dims("band") for a in placed()), "right"),
    "several bands": (
        lambda: tuple(xr.concat([a, a], "band") for a in placed()), "refused",
    ),
    "other times": (
        lambda: tuple(
            a.assign_coords(time=np.datetime64(t, "ns"))
            for a, t in zip(placed(), ("2020-01-01", "2021-06-01"), strict=True)
        ),
        "right",
    ),
    "a Dataset": (lambda: tuple(a.to_dataset(name="b") for a in bare()), "refused"),
    "NumPy arrays": (lambda: tuple(a.values for a in bare()), "refused"),
    "dask with unknown chunks": (lambda: bare(unknown_chunks), "refused"),
    "dask with chunks of one pixel": (
        lambda: bare(lambda a: da.from_array(a, chunks=((1, 94, 1), (1, 1, 94)))), "right",
    ),
    "an array of another library": (
        lambda: tuple(xr.DataArray(NotAnArray(), dims=("y", "x")) for _ in range(2)), "refused",
    ),
    "a nodata value that is no number": (
        lambda: tuple(a.assign_attrs(_FillValue="none") for a in bare()), "refused",
    ),
    "integers with a declared nodata value": (
        lambda: bare(wedge, attrs={"_FillValue": 0}),
        "right",
    ),
}  # fmt: skip


def outcome(pair: Any, **options: Any) -> tuple[str, str]:
    """Result for a pair: right, missing, refused or wrong; and the words."""
    options = {"model": "phase", "window": 16, "step": 8, **options}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            disp = xsubpix.correlate(*pair, **options).compute()
    except SubpixError as error:
        return "refused", f"{type(error).__name__}: {error}"
    inner = {d: slice(2, -2) for d in disp.east.dims}
    sure = disp.where((disp.flags & 28) == 0).isel(inner)
    length = np.hypot(sure.east.values, sure.north.values)
    told = np.isfinite(length)
    if not told.any():
        return "missing", "no value, flagged"
    one = _pixel(disp) * SHIFT
    wrong = np.abs(length[told] / one - 1) > 0.15
    if wrong.mean() > 0.02:
        return "wrong", f"{100 * wrong.mean():.0f} % of the values are wrong"
    return "right", ALL if told.all() else f"{100 * told.mean():.0f} % of the pixels have a value"


def _pixel(disp: xr.Dataset) -> float:
    """Length of a column's width in the unit of the result."""
    if disp.east.attrs["units"] == "1" and "x" not in disp.coords:
        return 1.0
    grid = xsubpix.Grid.from_dataarray(disp.east)
    rows, cols = (np.array([n // 2]) for n in grid.shape)
    east, north = grid.to_metres(np.ones((1, 1), "f4"), np.zeros((1, 1), "f4"), rows, cols)
    return float(np.hypot(east, north)[0, 0]) / 8


def threads_at_once() -> tuple[str, str]:
    """Eight threads measure at once; all must see what one alone sees."""
    pair = bare()
    alone = xsubpix.correlate(*pair, model="phase", window=16, step=8).east.values
    found: list[np.ndarray] = []

    def work() -> None:
        found.append(xsubpix.correlate(*pair, model="phase", window=16, step=8).east.values)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same = len(found) == 8 and all(np.array_equal(alone, f, equal_nan=True) for f in found)
    return ("right", "the same values in all") if same else ("wrong", "threads disagree")


def pickled_accessor() -> tuple[str, str]:
    """An accessor that went through pickle measures as before."""
    pre, post = bare()
    again = pickle.loads(pickle.dumps(pre.subpix))
    one, two = (
        a.correlate(post, model="phase", window=16, step=8).east for a in (pre.subpix, again)
    )
    same = np.array_equal(one, two, equal_nan=True)
    return ("right", "the same values") if same else ("wrong", "differs")


def main() -> None:
    """Print the page of the documentation."""
    rows = [(label, *outcome(make())) for label, (make, _) in INPUTS.items()]
    rows.append(("eight threads at once", *threads_at_once()))
    rows.append(("an accessor that was pickled", *pickled_accessor()))
    print("How unusual input is handled\n============================\n")
    print(
        "Written by ``python tests/hostile.py``; the tests run the same list. In each pair the "
        "ground moved by one column. Images are given to ``correlate`` as they are; ``open_pair`` "
        "and the command line resample to one grid first.\n"
    )
    print("Measured\n--------\n")
    print("The displacement is right, and every pixel has a value:\n")
    print_items([label for label, result, words in rows if (result, words) == ("right", ALL)])
    print("The displacement is right, with a remark:\n")
    others = [row for row in rows if row[1] == "right" and row[2] != ALL]
    print_items([f"{label}: {words}" for label, _, words in others])
    print("Missing\n-------\n")
    print("No value, and flags that say why:\n")
    print_items([label for label, result, _ in rows if result == "missing"])
    print("Refused\n-------\n")
    print("An error says what to do, before anything is computed:\n")
    print(".. list-table::\n   :header-rows: 1\n   :widths: 25 75\n")
    refused = [(label, words) for label, result, words in rows if result == "refused"]
    for row in [("input", "message"), *refused]:
        cells = [escaped(cell) for cell in row]
        print(f"   * - {cells[0]}\n     - {cells[1]}")
    doors.print_found()


def print_items(texts: list[str]) -> None:
    """Print a list."""
    for text in texts:
        print(f"* {escaped(text)}")
    print()


def escaped(text: str) -> str:
    """One line that reStructuredText takes as it is."""
    return " ".join(text.split()).replace("*", "\\*").replace("`", "'")


if __name__ == "__main__":
    main()
