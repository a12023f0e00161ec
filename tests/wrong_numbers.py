"""Inputs that gave a wrong number without a word, and what becomes of each now.

    python tests/wrong_numbers.py > docs/wrong_numbers.rst

writes the table of the documentation. ``test_wrong_numbers.py`` runs the same list of inputs;
of the pairs of images it runs all for three models and some for the others, and

    python tests/wrong_numbers.py every

runs all for every model (four minutes), prints the shares that are wrong without a word, and
ends with exit code 1 where there is one.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pyproj
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr

import xsubpix
from xsubpix.errors import SubpixError
from xsubpix.estimators import Flag

SIDE = 96
Outcome = tuple[float, float]


def ground(seed: int = 0, shape: tuple[int, int] = (SIDE, SIDE + 1)) -> np.ndarray:
    """Texture of natural ground, band-limited."""
    spectrum = np.fft.rfft2(np.random.default_rng(seed).normal(size=shape))
    f = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
    f[0, 0] = 1.0
    image = np.fft.irfft2(spectrum * (f < 0.35) / f, s=shape)
    return (100 + 20 * image / image.std()).astype("f4")


def placed(values: np.ndarray, crs: str = "EPSG:32611", x0: float = 5e5, y0: float = 4e6,
           size: float = 10.0) -> xr.DataArray:  # fmt: skip
    rows, cols = values.shape
    coords = {"y": y0 - size * np.arange(rows), "x": x0 + size * np.arange(cols)}
    return xr.DataArray(values, coords, ("y", "x")).rio.write_crs(crs)


def pair(**options: Any) -> tuple[xr.DataArray, xr.DataArray]:
    """Images that moved one pixel to the right."""
    full = ground()
    return placed(full[:, 1:], **options), placed(full[:, :-1], **options)


def measured(pre: xr.DataArray, post: xr.DataArray) -> float:
    """Median displacement to the east of what is not flagged."""
    disp = xsubpix.correlate(pre, post, model="phase", window=16, step=8).compute()
    sure = disp.east.where((disp.flags & 0b111101) == 0)
    return float(np.nanmedian(sure))


def field(north: np.ndarray | None = None) -> xr.Dataset:
    """Two metres across a fault at the middle column."""
    if north is None:
        north = np.where(np.arange(SIDE) < SIDE // 2, 0.0, 2.0) * np.ones((SIDE, 1))
    image = placed(north.astype("f4"))
    return xr.Dataset({"east": 0 * image, "north": image}).rio.write_crs("EPSG:32611")


def web_mercator() -> Outcome:
    to_map = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)
    x0, y0 = to_map.transform(20.0, 60.0)
    return measured(*pair(crs="EPSG:3857", x0=x0, y0=y0)), 5.01


def degrees_under_a_map() -> Outcome:
    return measured(*pair(x0=-117.0, y0=35.0, size=1e-4)), 9.1


def metres_under_degrees() -> Outcome:
    return measured(*pair(crs="EPSG:4326")), 10.0


def plainly_opened() -> Outcome:
    images = []
    for image in pair(crs="EPSG:4326", x0=10.0, y0=45.0, size=1e-4):
        named = image.drop_vars("spatial_ref").assign_attrs(grid_mapping="spatial_ref")
        images.append(named)
    return measured(*images), 7.88


def nodata_within_a_field() -> Outcome:
    disp = field()
    disp["north"].values[10:20] = -9999.0
    disp["north"].attrs["_FillValue"] = -9999.0
    return float(xsubpix.magnitude(disp).max()), 2.0


def several_fill_values() -> Outcome:
    images = []
    for image in pair():
        image.values[30:60, 30:60] = 251.0 + np.indices((30, 30)).sum(0) % 2
        images.append(image.assign_attrs(missing_value=[251.0, 252.0]))
    return measured(*images), 10.0


def mask_upside_down() -> Outcome:
    y = np.arange(SIDE)[:, None]
    disp = field(np.where(y < 30, 5.0, 1.0) * np.ones((1, SIDE)))
    stable = (disp.north * 0 + y) >= 30
    flat = xsubpix.detrend(disp, 0, mask=stable.isel(y=slice(None, None, -1)))
    return float(flat.north[60:].mean()), 0.0


def mask_from_elsewhere() -> Outcome:
    disp = field()
    stable = (disp.north < 1).assign_coords(x=disp.x + 1e5)
    return float(xsubpix.detrend(disp, 0, mask=stable).north[0, 0]), 0.0


def truth_from_elsewhere() -> Outcome:
    disp = field()
    return float(xsubpix.epe(disp, disp.assign_coords(x=disp.x + 1e5)).mean()), 0.0


def trace_in_degrees() -> Outcome:
    trace = [(-117.0, 36.14), (-116.99, 36.13)]
    return float(xsubpix.rotate(field(), trace).parallel.mean()), 0.0


def pieces_both_ways() -> Outcome:
    x = 5e5 + 10.0 * SIDE / 2 - 5.0
    pieces = [[(x, 4e6), (x, 3999700.0)], [(x, 3999100.0), (x, 3999690.0)]]
    options = {"half_length": 300.0, "spacing": 150.0}
    return float(xsubpix.offsets(field(), pieces, **options).parallel.max()), -2.0


def averaged_flags() -> Outcome:
    disp = field()
    flags = np.where(np.arange(SIDE) % 3 == 0, 4, 0).astype("u1") * np.ones((SIDE, 1), "u1")
    attrs = {"flag_masks": np.array([4], "u1"), "flag_meanings": "low_texture"}
    disp["flags"] = (("y", "x"), flags, attrs)
    coarse = disp.coarsen(x=6, y=2).mean()
    coarse["flags"].attrs = attrs
    return float(np.isfinite(xsubpix.mask(coarse, flags="low_texture").north).mean()), 0.67


def one_date_twice() -> Outcome:
    image = pair()[0]
    dates = xr.concat([image, image], "time")
    dates = dates.assign_coords(time=np.array(["2020-01-01", "2020-02-01"], "M8[ns]"))
    disp = xsubpix.correlate(dates[0], dates, model="phase", window=16, step=16)
    return float(disp.east[0].mean()), np.nan


def furrows() -> Outcome:
    y, x = np.indices((SIDE, SIDE))
    pre, post = (
        placed(
            (100 + 20 * np.sin((x - d) * 2 * np.pi / 6) * np.sin(y * 2 * np.pi / 6)).astype("f4")
        )
        for d in (0.0, 4.0)
    )
    return measured(pre, post), np.nan


def other_ground() -> Outcome:
    return measured(pair()[0], placed(ground(7)[:, 1:])), np.nan


def every_third_row() -> Outcome:
    images = []
    for image in pair():
        image.values[::3] = np.nan
        images.append(image)
    return measured(*images), np.nan


#: Label -> what is done, and what may come of it: ``"right"``, ``"refused"``, ``"flagged"``.
CASES: dict[str, tuple[Callable[[], Outcome], str]] = {
    "Web Mercator at 60 degrees: 10 m for 5 m": (web_mercator, "right"),
    "degrees under the CRS of a map": (degrees_under_a_map, "refused"),
    "metres under the CRS of degrees": (metres_under_degrees, "refused"),
    "a CRS that did not come along": (plainly_opened, "refused"),
    "-9999 m within a field": (nodata_within_a_field, "right"),
    "several fill values": (several_fill_values, "right"),
    "a mask with its rows the other way": (mask_upside_down, "right"),
    "a mask from 100 km away": (mask_from_elsewhere, "refused"),
    "a truth from 100 km away": (truth_from_elsewhere, "refused"),
    "a trace in degrees on a map": (trace_in_degrees, "refused"),
    "a trace in pieces drawn both ways": (pieces_both_ways, "right"),
    "averages of flags": (averaged_flags, "refused"),
    "a pair of one date": (one_date_twice, "refused"),
    "furrows that repeat themselves": (furrows, "flagged"),
    "other ground": (other_ground, "flagged"),
    "every third row missing in both images": (every_third_row, "flagged"),
}


# --------------------------------------------------- pairs of images, for each model

PAIR_SIDE, MOVED = 128, (1.3, -0.7)
Images = tuple[np.ndarray, np.ndarray, tuple[float, float]]


def texture(seed: int, shift: tuple[float, float] = (0.0, 0.0), power: float = 1.0) -> np.ndarray:
    """Texture of mean 100 and deviation 20 that moved by (dx, dy) pixels; 1/f**power."""
    n = PAIR_SIDE + 64
    fy, fx = np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)
    f = np.hypot(fy, fx)
    f[0, 0] = 1.0
    spectrum = np.fft.rfft2(np.random.default_rng(seed).normal(size=(n, n))) * (f < 0.35)
    spectrum /= f**power
    spectrum[0, 0] = 0.0
    still = np.fft.irfft2(spectrum, s=(n, n))
    turned = spectrum * np.exp(-2j * np.pi * (fx * shift[0] + fy * shift[1]))
    moved = np.fft.irfft2(turned, s=(n, n))[32:-32, 32:-32]
    return (100 + 20 / still.std() * moved).astype("f4")


def same_ground() -> Images:
    return texture(0), texture(0, MOVED), MOVED


def noisy_ground() -> Images:
    noise = np.random.default_rng(3).normal(0, 8, (2, PAIR_SIDE, PAIR_SIDE)).astype("f4")
    pre, post, moved = same_ground()
    return pre + noise[0], post + noise[1], moved


def changed_ground(power: float) -> Images:
    """Nothing of the first image is in the second one."""
    return texture(0, power=power), texture(7, power=power), (np.nan, np.nan)


def clouded(cloud: np.ndarray | float) -> Images:
    """A cloud of 36 px, with a soft rim, in the second image."""
    pre, post, moved = same_ground()
    y, x = np.indices(pre.shape)
    share = 1 / (1 + np.exp((np.hypot(y - 64, x - 72) - 36) / 3))
    return pre, (post * (1 - share) + cloud * share).astype("f4"), moved


def repeated(rough: float) -> Images:
    """Furrows 6 px apart both ways, with some texture, that moved by 4 px."""
    y, x = np.indices((PAIR_SIDE, PAIR_SIDE))
    pre, post = (
        100
        + 20 * np.sin((x - d) * 2 * np.pi / 6) * np.sin(y * 2 * np.pi / 6)
        + rough * (texture(0, (d, 0.0)) - 100)
        for d in (0.0, 4.0)
    )
    return pre.astype("f4"), post.astype("f4"), (4.0, 0.0)


def with_holes(holes: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Images:
    """Pixels that are missing at the same places of both images."""
    pre, post, moved = same_ground()
    hidden = holes(*np.indices(pre.shape))
    return np.where(hidden, np.nan, pre), np.where(hidden, np.nan, post), moved


def moved_far() -> Images:
    return texture(0), texture(0, (20.0, 0.0)), (20.0, 0.0)


#: Label -> what makes two images, and by how much the ground moved, pixels.
PAIRS: dict[str, Callable[[], Images]] = {
    "the same ground": same_ground,
    "noise": noisy_ground,
    "other ground": lambda: changed_ground(1.0),
    "other ground, smooth": lambda: changed_ground(1.5),
    "a textured cloud": lambda: clouded(40 + texture(11, power=1.5)),
    "a cloud of fine texture": lambda: clouded(40 + texture(12)),
    "a flat cloud": lambda: clouded(180.0),
    "furrows": lambda: repeated(0.0),
    "furrows with texture": lambda: repeated(0.1),
    "every third row missing": lambda: with_holes(lambda y, x: y % 3 == 0),
    "every second row missing": lambda: with_holes(lambda y, x: y % 2 == 0),
    "columns of six missing": lambda: with_holes(lambda y, x: x % 12 < 6),
    "a checkerboard missing": lambda: with_holes(lambda y, x: (y // 4 + x // 4) % 2 == 0),
    "45 % missing at random": lambda: with_holes(
        lambda y, x: np.random.default_rng(0).random(y.shape) < 0.45
    ),
    "a hole": lambda: with_holes(lambda y, x: (abs(y - 50) < 16) & (abs(x - 60) < 16)),
    "ground that moved by 20 px": moved_far,
}

#: Models that the tests run on all pairs, and the pairs on which they run the others.
QUICK = ("cosi-corr", "dis", "phase")
TELLING = ("other ground", "a textured cloud", "a flat cloud", "furrows", "every third row missing")


def left_wrong(model: str, label: str) -> float:
    """Share (%) of the values that are believed and wrong: by five sigma and half a pixel.

    A value is believed that has no flag but ``edge``: products take it.
    """
    pre, post, (right, down) = PAIRS[label]()
    images = [xr.DataArray(a, dims=("y", "x")) for a in (pre, post)]
    step = {} if model in ("phase", "cosi-corr") else {"step": 4}
    disp = xsubpix.correlate(*images, model=model, **step)
    known = np.isfinite(disp.east.values) & np.isfinite(disp.north.values)
    # Other ground has no displacement: whatever is said is wrong.
    off = np.full(known.shape, np.inf)
    if np.isfinite(right):
        off = np.maximum(abs(disp.east.values - right), abs(disp.north.values - down))
    sigma = np.where(np.isfinite(disp.sigma.values), disp.sigma.values, 0.0)
    believed = known & ((disp.flags.values & ~Flag.EDGE) == 0)
    wrong = believed & (off > 0.5) & (off > 5 * sigma)
    return 100.0 * float(wrong.sum()) / max(int(known.sum()), 1)


def outcome(make: Callable[[], Outcome]) -> tuple[str, str]:
    """Result for a case: right, refused, flagged or wrong; and the words."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # medians of nothing
            found, expected = make()
    except SubpixError as error:
        return "refused", f"{type(error).__name__}: {error}"
    if np.isnan(found):
        return "flagged", "no value that is not flagged"
    right = abs(found - expected) <= 0.1 * max(abs(expected), 0.2)
    return ("right" if right else "wrong"), f"{found:.3g}, where {expected:.3g} is right"


def main() -> None:
    """Print the page of the documentation."""
    title = "Wrong numbers that are now caught"
    print(f"{title}\n{'=' * len(title)}\n")
    print(
        "Written by ``python tests/wrong_numbers.py``; the tests run the same list. Each of these "
        "inputs once gave a wrong number without a warning. *right*: the number is right now. "
        "*refused*: an error says both values and what to do. *flagged*: every value that is "
        "left has a flag.\n"
    )
    print(".. list-table::\n   :header-rows: 1\n   :widths: 30 10 60\n")
    rows = [(label, *outcome(make)) for label, (make, _) in CASES.items()]
    for row in [("input", "result", "in words"), *rows]:
        cells = [" ".join(cell.split()).replace("*", "\\*").replace("`", "'") for cell in row]
        print(f"   * - {cells[0]}\n     - {cells[1]}\n     - {cells[2]}")
    _print_pairs()


def _print_pairs() -> None:
    """Print what holds for every model."""
    title = "Every model"
    print(f"\n{title}\n{'-' * len(title)}\n")
    print(
        f"Every model is run on each of these pairs: {'; '.join(PAIRS)}. A value is silently wrong "
        "if it has no flag but ``edge``, and is off by more than five sigma and by more than half "
        "a pixel. No model gives one.\n"
    )
    print(
        "Regularised models (``dis``, ``deepflow``, ``tvl1``, ``micmac``) spread the false motion "
        "of changed ground beyond its edge. Their values are flagged ``not_converged`` near "
        "ground that has no counterpart, and where the images do not match and a value departs "
        "from its neighbours. For the three models of OpenCV, sigma is nowhere smaller than the "
        "images and the neighbours allow; for ``micmac`` this holds near missing pixels, across "
        "which it carries the motion. "
        "``phase`` and ``cosi-corr`` look at each window alone; networks state a large sigma "
        "there, and those that predict none (``window-cnn``, ``flownet-sd``, ``geoflownet``) get "
        "it from the images. Every model is flagged near ground that is flat in one image alone. "
        "Mask clouds before you measure.\n"
    )
    print(
        "Real dates are harder: ground changed there in ways that no list has. On the six bands of "
        "two Landsat dates, two years apart, less than one value in a thousand of ``dis`` is "
        "silently wrong (one in a hundred if sigma covered noise alone)."
    )


def every() -> int:
    """Print the shares of every model and pair that are not 0; 1 where there is one."""
    failed = 0
    for model in xsubpix.available_models():
        for label in PAIRS:
            if share := left_wrong(model, label):
                print(f"{model}, {label}: {share:.3f} %", flush=True)
                failed = 1
        print(f"{model}: {len(PAIRS)} pairs", flush=True)
    return failed


if __name__ == "__main__":
    if sys.argv[1:] == ["every"]:
        sys.exit(every())
    main()
