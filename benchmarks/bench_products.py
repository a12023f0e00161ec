"""Products of a field: bias and honesty of fault offsets, denoising beside peers, strain's errors.

``python benchmarks/bench_products.py``: about a minute on one core. ``--seeds 40`` for
steadier shares.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable

import numpy as np
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr
from scipy.ndimage import gaussian_filter, median_filter

import xsubpix
from xsubpix import Fault
from xsubpix.rupture import displacement_at
from xsubpix.tutorial import example_earthquake, procedural_scene

PIXEL, SIZE = 20.0, 160


def field(east: np.ndarray, north: np.ndarray, pixel: float = PIXEL) -> xr.Dataset:
    """A field on a UTM grid."""
    rows, cols = east.shape
    data = {k: (("y", "x"), v.astype("f4")) for k, v in (("east", east), ("north", north))}
    y, x = 4e6 - pixel * (np.arange(rows) + 0.5), 5e5 + pixel * (np.arange(cols) + 0.5)
    return xr.Dataset(data, coords={"y": y, "x": x}).rio.write_crs("EPSG:32611")


def noise(rng: np.random.Generator, correlation: float) -> np.ndarray:
    """Unit noise on two components, correlated as a Gaussian of a scale in pixels."""
    out = rng.normal(size=(2, SIZE, SIZE))
    if correlation:
        out = gaussian_filter(out, (0, correlation, correlation), mode="wrap")
    return out / out.std()


def bias_of_offsets() -> None:
    """Offsets measured on noise-free elastic ruptures against their slip at the ground."""
    print("offsets of noise-free elastic ruptures (pixels of 20 m, 10-12 km deep)")
    x, y = 5e5 + PIXEL * 150, 4e6 - PIXEL * 150
    along = np.linspace(-2e4, 2e4, 81)
    bent = np.column_stack([x + along, y + 800 * np.sin(along / 3000)])
    size = {"length": 40e3, "width": 12e3, "slip": 4.0}
    faults = {
        "right-lateral": Fault.straight(x, y, strike=30.0, **size),
        "oblique, dip 60": Fault.straight(x, y, strike=10.0, rake=-150.0, dip=60.0, **size),
        "bent": Fault.from_trace(bent, width=10e3, slip=3.0),
    }
    grid = field(np.zeros((300, 300)), np.zeros((300, 300))).east
    for name, fault in faults.items():
        disp = grid.subpix.synthetic_rupture(fault)
        for reach in (1000.0, 2000.0):
            got = disp.subpix.offsets(fault, spacing=500.0, half_length=reach)
            got = got.isel(station=got.parallel.notnull().values)
            s, c = np.sin(np.radians(got.strike.values)), np.cos(np.radians(got.strike.values))
            right, left = (
                np.array(displacement_at(fault, got.x.values + k * c, got.y.values - k * s))
                for k in (1.0, -1.0)
            )
            true = -((right - left)[0] * s + (right - left)[1] * c)
            error = (got.parallel.values - true) / true
            print(
                f"  {name:<16} half_length {reach:4.0f} m: bias {error.mean():+.2%}, "
                f"worst of {error.size} stations {np.abs(error).max():.2%}"
            )


def honesty_of_offsets(seeds: int) -> None:
    """Shares of known offsets within one sigma and within the 95 % interval."""
    print("intervals of offsets: share that holds the truth (68 % and 95 % are right)")
    north = np.where(np.arange(SIZE) < SIZE // 2, 1.0, -1.0) * np.ones((SIZE, 1))
    x = 5e5 + PIXEL * SIZE / 2
    trace = [[x, 4e6 - PIXEL * SIZE], [x, 4e6]]
    for correlation in (0.0, 1.0, 2.0, 3.0):
        rng = np.random.default_rng(int(correlation))
        sigma, interval, errors = [], [], []
        for _ in range(seeds):
            e, n = 0.3 * noise(rng, correlation)
            got = field(e, north + n).subpix.offsets(trace, spacing=400.0, half_length=1000.0)
            for name, true in (("parallel", 2.0), ("perpendicular", 0.0)):
                error = (got[name] - true).values
                errors += error.tolist()
                sigma += (np.abs(error) <= got[f"{name}_sigma"].values).tolist()
                low, high = got[f"{name}_low"].values, got[f"{name}_high"].values
                interval += ((low <= true) & (true <= high)).tolist()
        print(
            f"  noise of 0.3 m, correlated over {correlation:g} px: {np.mean(sigma):.1%}, "
            f"{np.mean(interval):.1%} of {len(sigma)}; rms error {np.std(errors):.3f} m of 2 m"
        )


def measured_offsets(seeds: int) -> None:
    """The same for fields measured from two images of another season, air and instrument."""
    pre = procedural_scene((384, 384))
    sigma, interval, ratio = [], [], []
    flags = ("low_texture", "not_converged", "out_of_range", "ambiguous")
    for seed in range(seeds):
        post, truth = example_earthquake(pre, seed=4 + seed)
        fault = Fault.from_json(truth.attrs["fault"])
        disp = pre.subpix.correlate(post, model="phase", window=32, step=4)
        good = disp.subpix.mask(flags=flags).subpix.filter_outliers()
        try:
            got, known = (
                d.subpix.offsets(fault, spacing=400.0, half_length=1500.0) for d in (good, truth)
            )
        except xsubpix.DataError:
            continue  # this rupture passes beside the scene
        both = got.parallel.notnull() & known.parallel.notnull()
        error = (got.parallel - known.parallel)[both.values]
        ratio.append(float(error.mean() / np.abs(known.parallel[both.values]).mean()))
        sigma += (np.abs(error) <= got.parallel_sigma[both.values]).values.tolist()
        low, high = got.parallel_low[both.values], got.parallel_high[both.values]
        true = known.parallel[both.values]
        interval += ((low <= true) & (true <= high)).values.tolist()
    print(
        f"  measured by 'phase', window 32: {np.mean(sigma):.1%}, {np.mean(interval):.1%} of "
        f"{len(sigma)}; mean bias {np.mean(ratio):+.1%} of the offset"
    )


def denoising() -> None:
    """Error left by filters on ground broken by a fault, away from it and next to it."""
    # Each peer gets the parameter that serves it best, found with the truth; ours get none.
    peers: dict[str, list[Callable[[np.ndarray], np.ndarray]]] = {
        "scipy median": [functools.partial(median_filter, size=k) for k in (3, 5, 7, 9)],
        "scipy Gaussian": [functools.partial(gaussian_filter, sigma=k) for k in (0.7, 1, 2, 3)],
    }
    try:
        from skimage.restoration import denoise_nl_means, denoise_tv_chambolle
    except ImportError:
        print("  (scikit-image is not installed: two peers fewer)")
    else:
        peers["skimage TV"] = [
            functools.partial(denoise_tv_chambolle, weight=w) for w in (0.5, 0.7, 1.0, 1.4, 2.0)
        ]
        peers["skimage NLM"] = [
            functools.partial(
                denoise_nl_means, patch_size=5, patch_distance=7, h=h, sigma=0.5, fast_mode=True
            )
            for h in (0.1, 0.2, 0.3, 0.4, 0.6)
        ]
    y, x = np.mgrid[:SIZE, :SIZE]
    across = x + 0.3 * y - 0.6 * SIZE
    true = np.stack(
        [0.3 * np.sin(y / 60.0), -1.5 * np.sign(across) * np.exp(-np.abs(across) / 150)]
    )
    near = np.abs(across) < 4
    noisy = true + 0.5 * noise(np.random.default_rng(0), 0.0)
    print("denoising a fault of 3 m in noise of 0.5 m: rms error, away / within 4 px; CPU s")
    rows: dict[str, tuple[np.ndarray, float]] = {"nothing": (noisy, 0.0)}
    for name, choices in peers.items():
        tried = []
        for peer in choices:
            start = time.process_time()
            tried.append((np.stack([peer(v) for v in noisy]), time.process_time() - start))
        rows[f"{name}, best of {len(tried)}"] = min(
            tried, key=lambda result: float(np.mean((result[0] - true) ** 2))
        )
    disp = field(*noisy)
    for method in ("median", "nlm", "log-tv"):
        start = time.process_time()
        got = disp.subpix.denoise(method)
        rows[f"xsubpix {method}"] = got.to_array().values, time.process_time() - start
    for name, (values, seconds) in rows.items():
        error = values - true
        away, close = (float(np.sqrt(np.mean(error[:, at] ** 2))) for at in (~near, near))
        print(f"  {name:<26} {away:.3f} / {close:.3f} m  {seconds:.2f} s")


def errors_of_strain(seeds: int) -> None:
    """Stated error of strain over its scatter: 1 is right."""
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.05, 0.15, (SIZE, SIZE)).astype("f4")
    names = ("east_x", "north_y", "dilatation", "curl")
    every = []
    for _ in range(seeds):
        disp = field(*(noise(rng, 0.0) * sigma)).assign(sigma=(("y", "x"), sigma))
        every.append(disp.subpix.strain(scale=60.0)[[*names, *(f"{n}_sigma" for n in names)]])
    found = xr.concat(every, "draw")
    parts = [
        f"{n} {float(found[f'{n}_sigma'].mean() / np.sqrt((found[n] ** 2).mean())):.3f}"
        for n in names
    ]
    print(f"stated over observed error of strain, scale 3 px: {', '.join(parts)}")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=30, help="fields for the shares (default 30)")
    seeds = parser.parse_args().seeds
    bias_of_offsets()
    honesty_of_offsets(seeds)
    measured_offsets(max(3, seeds // 6))
    denoising()
    errors_of_strain(seeds)


if __name__ == "__main__":
    main()
