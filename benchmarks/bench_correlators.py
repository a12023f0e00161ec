"""All correlators on all sets: error, CPU time, memory; sigma, noise, bias and breakdown.

    python benchmarks/bench_correlators.py [--full] [--only-limits] [--output FOLDER]

With a folder, writes ``correlators.rst``, ``correlators_pareto.png`` and ``correlators_limits.png``
there; the page in ``docs/benchmarks`` is that of ``--full``, which writes there by itself. Every
method runs in a process of its own, one after the other, on one thread. The images are found
in ``XSUBPIX_DATA`` (default ``../shared/data``); without them procedural scenes serve.
"""

# ruff: noqa: E402  (numbers of threads are read when libraries load)
from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import argparse
import multiprocessing
import re
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import peers
import xarray as xr
from bench_phase import bound, rms, skimage_loop, tiles
from common import DATA, chips_of_test_split, fourier_shift, noise_for

import xsubpix
from xsubpix.estimators import Flag, create
from xsubpix.plot import method_style
from xsubpix.training.cases import Trace

BORDER, NEAR = 32, 16
JUMPS = (0.3, 1.0, 3.0)
UNSURE = int(Flag.UNSURE)


# ------------------------------------------------------------------------ the work


def second_dates(full: bool) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Real pairs of stable ground: one band, or in full several."""
    import rasterio

    pairs = []
    wanted = {"nanjing": (5, 4), "taizhou": (4,)} if full else {"nanjing": (5,)}
    for place, bands in wanted.items():
        paths = sorted((DATA / "two_dates").glob(f"{place}_*.tif"))
        for band in bands if len(paths) == 2 else ():
            images = []
            for path in paths:
                with rasterio.open(path) as source:
                    images.append(source.read(band).astype(np.float64))
            pairs.append((f"{place} band {band}", images[0], images[1]))
    return pairs


def middle(image: np.ndarray, side: int) -> np.ndarray:
    """A square from the middle."""
    top, left = ((n - min(side, n)) // 2 for n in image.shape)
    return image[top : top + side, left : left + side]


def rupture(side: int, jump: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fields dy and dx of a strike-slip rupture, pixels, and the distance from its trace.

    `jump` is the largest offset across the trace: twice the largest displacement.
    """
    size = 30.0
    grid = xr.DataArray(
        np.zeros((side, side), np.float32), dims=("y", "x"),
        coords={"y": -size * (np.arange(side) + 0.5), "x": size * (np.arange(side) + 0.5)},
    )  # fmt: skip
    truth = xsubpix.synthetic_rupture(
        grid, seed=seed, length=size * side * 2, top_depth=0.0, step_overs=0
    )
    dx, dy = truth.east.values / size, -truth.north.values / size
    scale = jump / 2 / np.quantile(np.hypot(dx, dy), 0.999)
    numbers = [float(v) for v in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", truth.attrs["fault_trace"])]
    trace = np.reshape(numbers, (-1, 2)) / size * (1, -1) - 0.5
    return scale * dy, scale * dx, np.abs(Trace.of_lines([trace], (side, side)).distance)


def cases(full: bool) -> list[tuple[str, float, tuple[np.ndarray, ...]]]:
    """(set, jump, (pre, post, dy, dx, distance)) of every piece of work."""
    side = 512 if full else 320
    chips = chips_of_test_split(3 if full else 1)
    sets = [("same date", middle(chip, side), middle(chip, side)) for _, chip in chips]
    sets += [("two dates", middle(a, side), middle(b, side)) for _, a, b in second_dates(full)]
    work = []
    for k, (name, pre, second) in enumerate(sets):
        for jump in JUMPS:
            dy, dx, distance = rupture(pre.shape[0], jump, seed=k)
            ground = xr.DataArray(second, dims=("y", "x"))
            post = xsubpix.warp_quintic(ground, (dx, dy)).values
            # A few pixels came from outside of the image; not all peers know of NaN.
            post = np.where(np.isfinite(post), post, second)
            work.append((name, jump, (pre, post, dy, dx, distance)))
    return work


# ------------------------------------------------------------------- one method


def measured(name: str, work: list[Any], pipe: Any) -> None:
    """Run a method on all work (in a process of its own) and send what it reached."""
    warnings.simplefilter("ignore")
    try:
        method = peers.METHODS[name]()
        noise = np.random.default_rng(0).normal(100, 10, (2, 256, 256))
        method(*noise)  # compilers and caches
        out = []
        for _, _, (pre, post, dy, dx, distance) in work:
            before = _memory(reset=True)
            start = time.process_time()
            rows, cols, found_y, found_x = method(pre, post)
            seconds = time.process_time() - start
            peak = _memory() - before
            at = np.ix_(np.rint(rows).astype(int), np.rint(cols).astype(int))
            error = np.hypot(found_y - _at(dy, rows, cols), found_x - _at(dx, rows, cols))
            inner = np.ix_(
                *((p >= BORDER) & (p < n - BORDER) for p, n in zip((rows, cols), pre.shape,
                                                                  strict=True))
            )  # fmt: skip
            error, near = error[inner], distance[at][inner] < NEAR
            out.append({
                "mean": np.nanmean(error), "median": np.nanmedian(error),
                "near": np.nanmean(error[near]), "far": np.nanmean(error[~near]),
                "seconds": seconds / pre.size * 1e6, "memory": peak,
            })  # fmt: skip
        pipe.send(out)
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")


def _at(field: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Mean of the four pixels around places between pixels, or the pixel's value."""
    low, high = ([np.floor(p).astype(int) for p in (rows, cols)],
                 [np.ceil(p).astype(int) for p in (rows, cols)])  # fmt: skip
    corners = [field[np.ix_(r, c)] for r in (low[0], high[0]) for c in (low[1], high[1])]
    return np.mean(corners, axis=0)


def _memory(reset: bool = False) -> float:
    """Peak resident memory since the last reset, MB (Linux; NaN elsewhere)."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:
        return float("nan")
    key = "VmRSS" if reset else "VmHWM"
    found = re.search(rf"{key}:\s+(\d+) kB", status)
    return float(found[1]) / 1024 if found else float("nan")


def run_all(work: list[Any]) -> dict[str, list[dict[str, float]] | str]:
    """Every method on all work."""
    context = multiprocessing.get_context("fork")
    results: dict[str, list[dict[str, float]] | str] = {}
    for name in peers.METHODS:
        here, there = context.Pipe()
        process = context.Process(target=measured, args=(name, work, there))
        process.start()
        there.close()
        try:
            results[name] = here.recv()
        except EOFError:
            results[name] = "the process ended without a result"
        process.join()
        print(
            f"  {name}: {results[name] if isinstance(results[name], str) else 'done'}", flush=True
        )
    return results


# ------------------------------------------------------------------------- sigma

OURS = {
    "phase": {"window": 32, "step": 4},
    "cosi-corr": {"window": 32, "step": 4},
    "micmac": {}, "deepflow": {}, "dis": {}, "tvl1": {},
}  # fmt: skip


def field(model: str, pre: np.ndarray, post: np.ndarray, dy: np.ndarray, dx: np.ndarray,
          distance: np.ndarray) -> dict[str, np.ndarray]:  # fmt: skip
    """Errors (2, n), sigma, flags and distance from the trace of a model's values, 1-D."""
    images = (xr.DataArray(i.astype(np.float32), dims=("y", "x")) for i in (pre, post))
    disp = xsubpix.correlate(*images, model=model, **OURS[model])
    step = OURS[model].get("step", 1)
    rows, cols = (step * np.arange(n) + (step - 1) / 2 for n in disp.east.shape)
    inner = [(p >= BORDER) & (p < n - BORDER) for p, n in zip((rows, cols), pre.shape, strict=True)]
    truth = [_at(f, rows, cols) for f in (dy, dx, distance)]
    error = np.stack([disp.north.values - truth[0], disp.east.values - truth[1]])
    at = np.ix_(*inner)
    return {
        "error": error[(slice(None), *at)].reshape(2, -1), "sigma": disp.sigma.values[at].ravel(),
        "unsure": (disp.flags.values[at].ravel() & UNSURE) > 0, "distance": truth[2][at].ravel(),
    }  # fmt: skip


def coverage(full: bool, work: list[Any]) -> list[list[str]]:
    """Rows of the table of sigma: shares of errors within one and two sigma, flags."""
    side = 320 if full else 224
    dates = [images for name, jump, images in work if name == "two dates" and jump == 1.0]
    rows = []
    for model in OURS:
        if model not in xsubpix.available_models():
            continue
        cells = [model]
        for rho in (None, 0.9, 0.6):
            rng = np.random.default_rng(0)
            scaled = []
            for k, (_, chip) in enumerate(chips_of_test_split(2)):
                pre = middle(chip, side)
                dy, dx, distance = rupture(side, 1.0, seed=k + 3)
                post = xsubpix.warp_quintic(xr.DataArray(pre, dims=("y", "x")), (dx, dy)).values
                post = np.where(np.isfinite(post), post, pre)
                noise = noise_for(chip, rho) if rho else 0.0
                pair = [i + noise * rng.standard_normal(i.shape) for i in (pre, post)]
                found = field(model, *pair, dy, dx, distance)
                meant = (found["distance"] >= NEAR) & ~found["unsure"]
                scaled.append(np.abs(found["error"] / found["sigma"])[:, meant].ravel())
            cells.append(_within(np.concatenate(scaled)))
        found_ = [field(model, *images) for images in dates]
        if found_:
            unsure = np.concatenate([f["unsure"] for f in found_])
            error = np.concatenate([f["error"] for f in found_], axis=1)
            sigma = np.concatenate([f["sigma"] for f in found_])
            size = np.hypot(*error)
            cells += [
                _within(np.abs(error / sigma)[:, ~unsure].ravel()), f"{unsure.mean():.1%}",
                f"{np.nanmean(size[~unsure]):.3f}", f"{np.nanmean(size[~unsure] > 1):.2%}",
            ]  # fmt: skip
        rows.append(cells)
    return rows


def _within(scaled: np.ndarray) -> str:
    return f"{np.nanmean(scaled < 1):.0%}, {np.nanmean(scaled < 2):.0%}"


# ------------------------------------------------------------------------ limits

RHOS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
PHASES = np.arange(0.0, 1.0, 0.1)
SKIMAGE = "scikit-image NCC, loop"


def limits(full: bool) -> dict[str, Any]:
    """Noise-free error and bias by phase, noise over its bound, breakdown, CPU a window."""
    rng = np.random.default_rng(0)
    chips = [chip for _, chip in chips_of_test_split(3 if full else 2)]
    windows = {
        "phase": create("phase", window=32, step=16, search=16),
        "cosi-corr": create("cosi-corr", window=32, step=16),
    }
    assert windows["phase"].halo == windows["cosi-corr"].halo
    # Tiles of models hold more windows or fewer: the same ones for all.
    n = min(estimator.tile for estimator in windows.values())
    names = [*windows, "micmac", SKIMAGE]
    out: dict[str, Any] = {
        name: {"bias": [], "rmse": [], "noisy": [], "ratio": [], "outliers": []} for name in names
    }

    def errors(name: str, pre: np.ndarray, post: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """Errors (2, windows) of all windows."""
        if name in windows:
            found = windows[name](*(tiles(i, windows[name]) for i in (pre, post)))
            both = np.stack([found.dy[0] - shift[0], found.dx[0] - shift[1]])
            return both[:, :n, :n].reshape(2, -1)
        if name == "micmac":
            crop = (slice(200, 200 + 176),) * 2
            images = (
                xr.DataArray(i[crop].astype(np.float32), dims=("y", "x")) for i in (pre, post)
            )
            disp = xsubpix.correlate(*images, model="micmac")
            both = np.stack([disp.north.values - shift[0], disp.east.values - shift[1]])
            return both[:, BORDER:-BORDER, BORDER:-BORDER].reshape(2, -1)
        estimator = windows["phase"]
        _, found = skimage_loop(tiles(pre, estimator)[0], tiles(post, estimator)[0], estimator)
        return (found - np.reshape(shift, (2, 1, 1))).reshape(2, -1)

    for phase in PHASES:
        shift = np.array([0.25 - phase, phase])
        pairs = [(chip, fourier_shift(chip, *shift)) for chip in chips]
        for name in names:
            both = np.concatenate([errors(name, *pair, shift) for pair in pairs], axis=1)
            out[name]["bias"].append(both[1].mean())
            out[name]["rmse"].append(rms(both))
    for rho in RHOS:
        least, got = [], {name: [] for name in names}
        for chip in chips:
            noise, shift = noise_for(chip, rho), rng.uniform(-0.5, 0.5, 2)
            pair = [
                image + rng.normal(0, noise, chip.shape)
                for image in (chip, fourier_shift(chip, *shift))
            ]
            least.append(bound(chip, windows["phase"], noise).reshape(2, -1))
            for name in names:
                got[name].append(errors(name, *pair, shift))
        limit = np.concatenate(least, axis=1)
        for name in names:
            both = np.concatenate(got[name], axis=1)
            outlier = (np.abs(both) > 1).any(axis=0)
            out[name]["outliers"].append(outlier.mean())
            out[name]["noisy"].append(rms(both[:, ~outlier]))
            ratio = np.nan
            if both.shape == limit.shape:
                meant = (limit < 0.25).all(axis=0) & ~outlier
                ratio = rms(both[:, meant]) / rms(limit[:, meant])
            out[name]["ratio"].append(ratio)
    return out


def speed(chip: np.ndarray) -> list[tuple[int, float, float, float]]:
    """(step, CPU us a window of phase, cosi-corr, scikit-image) at window 32."""
    post = fourier_shift(chip, 0.31, -0.42)
    lines = []
    for step in (16, 8, 4):
        times = []
        for name in ("phase", "cosi-corr"):
            estimator = create(name, window=32, step=step, device="cpu")
            pair = [tiles(image, estimator) for image in (chip, post)]
            estimator(*pair)
            best = np.inf
            for _ in range(9):
                start = time.process_time()
                found = estimator(*pair)
                best = min(best, (time.process_time() - start) / found.dx.size)
            times.append(1e6 * best)
        peer = create("phase", window=32, step=step)
        pair = [tiles(image, peer)[0] for image in (chip, post)]
        lines.append((step, *times, 1e6 * min(skimage_loop(*pair, peer)[0] for _ in range(2))))
    return lines


def micmac_seconds(chip: np.ndarray) -> float:
    """CPU seconds of micmac for 512 x 512 pixels."""
    pair = (
        xr.DataArray(i[100:612, 100:612].astype(np.float32), dims=("y", "x"))
        for i in (chip, fourier_shift(chip, 0.3, -0.7))
    )
    start = time.process_time()
    xsubpix.correlate(*pair, model="micmac")
    return time.process_time() - start


# ------------------------------------------------------------------------ report


def mean_of(results: list[dict[str, float]], work: list[Any], group: str, jump: float | None,
            key: str) -> float:  # fmt: skip
    chosen = [
        r[key]
        for r, (name, j, _) in zip(results, work, strict=True)
        if name == group and jump in (None, j)
    ]
    return float(np.max(chosen) if key == "memory" else np.mean(chosen)) if chosen else np.nan


NOTES = """
What misses, and why
--------------------

- *near*: a rigid window that lies across a fault mixes both sides, or follows the side that fills
  more of it. Window methods are therefore wrong over about half a window. Beyond an offset of
  about 2 px they lock to one side, and their error grows only slowly with the offset. A dense
  method then wins only if it places the trace to a third of a pixel: at 3 px, each pixel on the
  wrong side costs 3 px. ``micmac`` does so with small windows, a bounded cost of jumps and less
  regularisation on clean images. With the same regularisation for all images it wins by less, and
  with the slope limit of the publication it loses.
- *two dates*: fields and crops change more than the ground moves, and all values count, flagged or
  not. Cross-correlation (the scikit-image loop) follows large features that changed. ``phase``
  keeps a doubtful match near the peak of a wider, half-whitened window. Most of its remaining
  outliers, and of those of ``cosi-corr``, are flagged (see *Sigma and flags*). A sigma that comes
  from noise knows nothing of changed ground and is too small there. At an offset of 0.3 px no
  method beats *zero*: changed ground costs each of them more than the signal is worth.
- *std / bound*: ``cosi-corr`` does not weight the frequencies it keeps by their strength. That
  is why it does not reach the bound, and why changes of brightness do it no harm. ``micmac`` has no
  window of 32 px, and so no ratio.
- *Outliers*: like ``phase``, the scikit-image loop looks within half a window. Where noise hides
  the match from a window of 32 px, the wider first window of ``cosi-corr`` still finds it, and so
  does that of the doubtful matches of ``phase``.
- *CPU* of ``cosi-corr``: unlike the scikit-image loop, it also correlates first windows of 64 px.
  Outputs within the same 64 px share one, and only those whose fit ends elsewhere, or badly, get
  their own. On two dates that differ much, most need their own, and most of the gain is lost.
- *noise-free* sigma: without noise, the remaining error is the change of the displacement within a
  window, which no window correlator has in its sigma. On rigid shifts, where there is no such
  change, sigma is close to right without noise too.
"""


def targets(results: dict[str, Any], work: list[Any], extra: dict[str, Any]) -> list[list[str]]:
    """What was asked for, what was reached."""
    rows = []

    def add(what: str, reached: float, wanted: str, good: bool, form: str = ".4f") -> None:
        rows.append([what, format(reached, form), wanted, "yes" if good else "no"])

    limit = extra["limits"]
    for name, most in (("cosi-corr", 0.01), ("micmac", 0.03)):
        error = float(np.max(limit[name]["rmse"]))
        add(f"{name}: rigid shifts, largest RMSE, px", error, f"<= {most}", error <= most)
    for name in ("phase", "cosi-corr", "micmac"):
        bias = float(np.max(np.abs(limit[name]["bias"])))
        add(f"{name}: largest bias by shift, px", bias, "<= 0.005", bias <= 0.005)
    for name, most in (("phase", 1.3), ("cosi-corr", 2.0)):
        ratio = limit[name]["ratio"][-1]
        add(f"{name}: std over bound at 0.9", ratio, f"<= {most}", ratio <= most, ".2f")
    peer = np.mean(limit[SKIMAGE]["outliers"])
    for name in ("phase", "cosi-corr"):
        share = np.mean(limit[name]["outliers"])
        add(f"{name}: outliers at 0.3 to 0.9, %", 100 * share, f"<= {100 * peer:.2f}",
            share <= peer, ".2f")  # fmt: skip
    both = [results[name] for name in ("micmac", "cosi-corr")]
    if not any(isinstance(r, str) for r in both):
        for jump in JUMPS:
            one, two = (mean_of(r, work, "same date", jump, "near") for r in both)
            add(f"micmac over cosi-corr near, offset {jump:g} px", one / two, "<= 0.6",
                one / two <= 0.6, ".2f")  # fmt: skip
    for step, _, ours, theirs in extra["speed"]:
        add(f"cosi-corr: times faster than scikit-image, step {step}", theirs / ours, ">= 10",
            theirs / ours >= 10, ".1f")  # fmt: skip
    seconds = extra["micmac seconds"]
    add("micmac: CPU s of 512 x 512", seconds, "<= 15", seconds <= 15, ".1f")
    return rows


def table(head: list[str], rows: list[list[str]]) -> str:
    """A reStructuredText grid of simple columns."""
    widths = [max(len(str(line[k])) for line in [head, *rows]) for k in range(len(head))]
    rule = "  ".join("=" * w for w in widths)
    body = [
        "  ".join(str(c).ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
        for line in rows
    ]
    first = "  ".join(h.ljust(w) for h, w in zip(head, widths, strict=True)).rstrip()
    return "\n".join([rule, first, rule, *body, rule])


def report(results: dict[str, Any], work: list[Any], extra: dict[str, Any], full: bool) -> str:
    groups = list(dict.fromkeys(name for name, _, _ in work))
    parts = [
        "Correlators compared\n====================\n",
        "Every method measures the same images, moved by elastic strike-slip ruptures of known "
        "offset. Written by ``python benchmarks/bench_correlators.py"
        + (" --full" if full else "")
        + "``, not by hand. How to read the tables:\n",
        "* *same date*: Landsat-7 panchromatic chips against themselves; *two dates*: real second "
        f"dates of stable ground; {work[0][2][0].shape[0]} pixels a side. *offset* is the largest "
        "across the trace.\n"
        "* *mean* and *median* are end-point errors in pixels, over all values, flagged or not, "
        f"except a border of {BORDER} px; *near* is the mean within {NEAR} px of the trace, *far* "
        "that of the rest.\n"
        "* *CPU s* are for a million pixels, on one thread; *MB* is the peak of the memory, less "
        "what the process held before.\n"
        f"* Window methods have windows of {peers.WINDOW} px every {peers.STEP} px, the others a "
        "value at every pixel (OpenPIV every 8 px, pyxel every 16).\n"
        "* *zero* measures nothing: a larger error is worse than no measurement.\n",
        "Asked for and reached\n---------------------\n",
        table(["what", "reached", "wanted", "met"], targets(results, work, extra)) + "\n",
        ".. image:: correlators_pareto.png\n   :alt: Mean error against CPU time.\n",
    ]
    for group in groups:
        for jump in (*JUMPS, None):
            title = f"{group}, " + (f"offset {jump:g} px" if jump else "all offsets")
            parts.append(f"\n{title}\n{'-' * len(title)}\n")
            rows = []
            for name, result in results.items():
                if isinstance(result, str):
                    continue
                values = [
                    mean_of(result, work, group, jump, key)
                    for key in ("mean", "median", "near", "far", "seconds", "memory")
                ]
                rows.append([name, *(f"{v:.3f}" for v in values[:4]), f"{values[4]:.1f}",
                             f"{values[5]:.0f}"])  # fmt: skip
            head = ["method", "mean", "median", "near", "far", "CPU s", "MB"]
            parts.append(table(head, rows) + "\n")
    for name, result in results.items():
        if isinstance(result, str):
            parts.append(f"\n``{name}`` was left out: {result}\n")
    parts.append(NOTES)
    parts.append(sigma_report(extra))
    parts.append(limits_report(extra))
    return "\n".join(parts)


def sigma_report(extra: dict[str, Any]) -> str:
    head = ["model", "noise-free", "0.9", "0.6", "two dates", "flagged", "EPE, px", "outliers"]
    rows = extra["sigma"]
    return "\n".join([
        "\nSigma and flags\n---------------\n",
        "* The first four columns: shares of the errors of both components within one and two"
        " sigma, of values without a flag. 68 % and 95 % would be perfect.\n"
        "* *noise-free*, *0.9* and *0.6*: panchromatic chips moved by a rupture of 1 px, more"
        f" than {NEAR} px from its trace; without noise, and with white noise at a mean local "
        "correlation of 0.9 and 0.6.\n"
        "* *two dates*: real second dates moved by the same rupture, values near the trace "
        "included.\n"
        "* *flagged*: share of values flagged as unsure on two dates; *EPE* and *outliers* "
        "are the mean error of the others, and their share of errors above 1 px.\n",
        table(head[: max(len(row) for row in rows)], rows),
    ])  # fmt: skip


def limits_report(extra: dict[str, Any]) -> str:
    limit = extra["limits"]
    lines = ["\nLimits\n------\n",
             "* Exact rigid shifts of panchromatic chips, in windows of 32 px; ``cosi-corr`` "
             "has a first window of 64 px, ``micmac`` windows of 5 px.\n"
             "* *RMSE, px* and *largest bias*: without noise, by the fraction of a pixel of "
             "the shift.\n"
             "* *RMSE, 0.9* and so on: with white noise in both images, at that mean local "
             "correlation.\n"
             "* *std / bound*: standard deviation over the Cramer-Rao bound of the tapered "
             "window. Left out: outliers, and windows whose bound is above 0.25 px.\n"
             "* *Outliers*: share of errors above 1 px, of all values, flagged or not.\n",
             ".. image:: correlators_limits.png\n   :alt: Bias and breakdown.\n",
             ]  # fmt: skip
    rows = [
        [name, f"{rms(np.array(v['rmse'])):.4f}", f"{np.max(np.abs(v['bias'])):.4f}",
         *(f"{v['noisy'][RHOS.index(r)]:.3f}" for r in (0.9, 0.8, 0.6)),
         *(f"{v['ratio'][RHOS.index(r)]:.2f}" for r in (0.9, 0.8))]
        for name, v in limit.items()
    ]  # fmt: skip
    head = ["method", "RMSE, px", "largest bias", "RMSE, 0.9", "RMSE, 0.8", "RMSE, 0.6",
            "std / bound, 0.9", "std / bound, 0.8"]  # fmt: skip
    lines.append(table(head, rows).replace("nan", "-  "))
    lines.append("\nOutliers, %, by correlation:\n")
    rows = [[name, *(f"{100 * o:.2f}" for o in v["outliers"])] for name, v in limit.items()]
    lines.append(table(["method", *map(str, RHOS)], rows))
    lines.append("\nCPU microseconds a window of 32 px, noise-free pair:\n")
    rows = [
        [str(step), f"{a:.0f}", f"{b:.0f}", f"{c:.0f}", f"{c / a:.1f}", f"{c / b:.1f}"]
        for step, a, b, c in extra["speed"]
    ]
    head = ["step", "phase", "cosi-corr", "scikit-image loop", "x phase", "x cosi-corr"]
    lines.append(table(head, rows) + "\n")
    return "\n".join(lines)


def short_name(name: str) -> str:
    """Name of a method as it stands beside its point: that of the model, or of the package."""
    model = re.search(r"\((.*)\)$", name)
    return model[1] if model else name.split(",")[0].removeprefix("OpenCV ")


def draw_pareto(points: dict[str, dict[str, tuple[float, float]]], path: Path) -> None:
    """Draw error against time: CPU seconds and mean error of each method, for each group."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 4.6), layout="constrained", dpi=110)
    axes = figure.subplots(1, len(points), squeeze=False)[0]
    for k, (axis, (group, methods)) in enumerate(zip(axes, points.items(), strict=True)):
        for name, (seconds, error) in methods.items():
            style = method_style(name)
            if name == "zero":
                axis.axhline(error, **style)
                axis.text(0.99, error, "zero", transform=axis.get_yaxis_transform(),
                          ha="right", va="bottom", color="0.45", fontsize=8)  # fmt: skip
                continue
            axis.plot(seconds, error, **{**style, "linestyle": "none"})
            crowded = any(
                1 < other / seconds < 3 and 0.8 < value / error < 1.25
                for other, value in methods.values()
                if other > 0
            )
            right = seconds < 1 or (seconds < 8 and not crowded)
            axis.annotate(
                short_name(name), (seconds, error), (6 if right else -6, 0),
                textcoords="offset points", ha="left" if right else "right", va="center",
                fontsize=8, color=style["color"],
            )  # fmt: skip
        axis.set(xscale="log", yscale="log", xlabel="CPU seconds per million pixels")
        axis.set_title(f"{'ab'[k]}  {group}", loc="left", weight="bold", fontsize=11)
        axis.grid(alpha=0.3, which="both")
    axes[0].set_ylabel("mean end-point error (px)")
    figure.savefig(path)


def plots(results: dict[str, Any], work: list[Any], extra: dict[str, Any], folder: Path) -> None:
    groups = list(dict.fromkeys(name for name, _, _ in work))
    points = {
        group: {
            name: tuple(mean_of(result, work, group, None, k) for k in ("seconds", "mean"))
            for name, result in results.items()
            if not isinstance(result, str)
        }
        for group in groups
    }
    draw_pareto(points, folder / "correlators_pareto.png")
    draw_limits(extra["limits"], folder / "correlators_limits.png")


def draw_limits(found: dict[str, Any], path: Path) -> None:
    """Draw the bias by the fraction of a shift, and the outliers by the correlation."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 4), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2)
    left.axhspan(-5, 5, color="0.93", zorder=0)
    for name, value in found.items():
        style = {"markersize": 4, **method_style(name)}
        left.plot(PHASES, 1e3 * np.array(value["bias"]), **style)
        right.plot(RHOS, 100 * np.array(value["outliers"]), label=name, **style)
    left.set(xlabel="shift to the right (px)", ylabel="bias to the right (thousandths of a px)")
    right.set(xlabel="mean local correlation", ylabel="outliers, error above 1 px (%)")
    left.set_title("a  bias, without noise; grey: wanted", loc="left", fontsize=11)
    right.set_title("b  breakdown in noise", loc="left", fontsize=11)
    right.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="all chips, pairs and bands")
    parser.add_argument("--output", type=Path, help="folder to write the page and plots to")
    parser.add_argument("--only-limits", action="store_true", help="draw that figure alone")
    options = parser.parse_args()
    if options.full and options.output is None:
        options.output = Path("docs/benchmarks")
    if options.only_limits:
        draw_limits(limits(options.full), options.output / "correlators_limits.png")
        return
    print("Ruptures and images ...", flush=True)
    work = cases(options.full)
    print("Methods ...", flush=True)
    results = run_all(work)
    print("Limits ...", flush=True)
    chip = chips_of_test_split(1)[0][1]
    extra = {
        "speed": speed(chip), "micmac seconds": micmac_seconds(chip),
        "sigma": coverage(options.full, work), "limits": limits(options.full),
    }  # fmt: skip
    text = report(results, work, extra, options.full)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "correlators.rst").write_text(text)
        plots(results, work, extra, options.output)
    print(text)


if __name__ == "__main__":
    main()
