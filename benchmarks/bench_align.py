"""Alignment on real images: known motions, one resampling against two, time and memory.

Images are moved by their spectrum, or on pixels half as large and averaged, so that
what moves them is no spline that also brings them back. Beside it:
scikit-image's phase correlation (Guizar-Sicairos et al. 2008) on the same pairs. AROSICS is
not beside it: pip builds GDAL for it, which needs the headers of GDAL's library.
``python benchmarks/bench_align.py [known] [twice] [aliased] [large]``
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
import rioxarray  # noqa: F401  (registers .rio)
import scipy.ndimage
import xarray as xr
from affine import Affine
from common import DATA, fourier_shift

import xsubpix

SHIFTS = (0.1, 0.37, 1.5, 7.25, 21.6, 60.3)
#: d(dx, dy) / d(column, row): rotation and scale of two sensors.
AFFINE = np.array([[0.003, -0.006], [0.005, 0.002]])


def scenes() -> list[tuple[str, np.ndarray]]:
    """Real single-date images, or procedural ones where they are absent."""
    import rasterio

    paths = sorted((DATA / "single_date").glob("*.tif")) + sorted(
        (DATA / "landsat7").glob("P090R083_0[78]_pan.tif")
    )
    found = []
    for path in paths:
        if path.stem.endswith("_ms"):
            continue
        with rasterio.open(path) as source:
            found.append((path.stem, source.read(1).astype(np.float64)))
    if found:
        return found
    return [("procedural", xsubpix.tutorial.procedural_scene((1600, 1600)).values.astype(float))]


def halved(image: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels."""
    rows, cols = (n // 2 * 2 for n in image.shape)
    return image[:rows, :cols].reshape(rows // 2, 2, cols // 2, 2).mean((1, 3))


def affine_pair(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image, the same under AFFINE and a shift of (9.3, -6.7) px, and the motion."""
    rows, cols = np.indices(image.shape, float)
    centre = (np.array(image.shape) - 1) / 2
    linear = np.eye(2) + AFFINE
    shift = 2 * np.array([9.3, -6.7])
    at = np.stack([cols - centre[1], rows - centre[0]]) - shift[:, None, None]
    back = np.einsum("ij,jrc->irc", np.linalg.inv(linear), at)
    moved = scipy.ndimage.map_coordinates(
        image, [back[1] + centre[0], back[0] + centre[1]], order=5, mode="mirror"
    )
    pre, post = halved(image), halved(moved)
    r, c = np.indices(pre.shape, float)
    away = np.stack([c - (pre.shape[1] - 1) / 2, r - (pre.shape[0] - 1) / 2])
    motion = np.einsum("ij,jrc->irc", AFFINE, away) + (shift / 2)[:, None, None]
    return pre, post, motion


def measured(aligned: xr.DataArray) -> np.ndarray:
    """Motion (dx, dy) at every pixel that the attributes tell."""
    from xsubpix.kernels.motion import Motion

    attrs = aligned.attrs
    x, y = (tuple(np.atleast_1d(attrs[f"registration_{k}"])) for k in "xy")
    motion = Motion(attrs["registration_order"], x, y, aligned.shape)
    rows, cols = np.ogrid[: aligned.shape[0], : aligned.shape[1]]
    return np.stack(np.broadcast_arrays(*motion(rows, cols)))


def lowpass(image: np.ndarray) -> np.ndarray:
    """An image without what means of 2 x 2 pixels would fold: cut at half of Nyquist."""
    across, down = np.meshgrid(np.fft.rfftfreq(image.shape[1]), np.fft.fftfreq(image.shape[0]))
    share = np.clip((0.25 - np.hypot(across, down)) / 0.05, 0, 1)
    weight = 0.5 - 0.5 * np.cos(np.pi * share)
    return np.fft.irfft2(np.fft.rfft2(image) * weight, image.shape)


def aliased() -> None:
    """Table of what averaging of pixels half as large does to a known shift."""
    print("\nshift of (0.37, -0.22) px of images averaged from half as large pixels, error, px")
    for name, full in scenes():
        part = full[:640, :640]
        part = part[: part.shape[0] // 2 * 2, : part.shape[1] // 2 * 2]
        shift = np.array([0.37, -0.222])
        moved = fourier_shift(part, 2 * shift[1], 2 * shift[0])
        for label, filtered in (("as it is", np.asarray), ("low-passed first", lowpass)):
            pre, post = (halved(filtered(p))[20:-20, 20:-20] for p in (part, moved))
            found = measured(xsubpix.align(image(post), image(pre), order=0))[:, 0, 0]
            print(f"{name[:23]:24}{label:18}" + "".join(f"{e:+9.4f}" for e in found - shift))


def image(pixels: np.ndarray) -> xr.DataArray:
    """Pixels as an image without coordinates."""
    return xr.DataArray(pixels.astype(np.float32), dims=("y", "x"))


def known_motions() -> None:
    """Table of what is found of known shifts and of an affine motion."""
    from skimage.registration import phase_cross_correlation

    print("AROSICS: not compared, it installs with the headers of GDAL alone (gdal-config)")
    rng = np.random.default_rng(0)
    print("rms error of the motion, px (noise of 2 % of the contrast on both images)")
    print(f"{'':24}" + "".join(f"{s:>9}" for s in SHIFTS) + f"{'affine':>9}")
    total: dict[str, list[float]] = {"xsubpix": [], "scikit-image": []}
    for name, full in scenes():
        rows: dict[str, list[float]] = {"xsubpix": [], "scikit-image": []}
        part = full[:600, :600]
        noise = 0.02 * part.std()
        pairs = [
            (part, fourier_shift(full, -0.6 * s, s)[:600, :600], np.array([s, -0.6 * s]))
            for s in SHIFTS
        ]
        pairs.append(affine_pair(full))
        for pre, post, truth in pairs:
            pre, post = (p + rng.normal(0, noise, p.shape) for p in (pre, post))
            order = 0 if truth.ndim == 1 else 1
            truth = truth.reshape(2, *(truth.shape[1:] or (1, 1)))
            found = measured(xsubpix.align(image(post), image(pre), order=order))
            rows["xsubpix"].append(float(np.sqrt(np.mean((found - truth) ** 2))))
            back = phase_cross_correlation(pre, post, upsample_factor=100, normalization=None)[0]
            other = -np.array([back[1], back[0]])[:, None, None]
            rows["scikit-image"].append(float(np.sqrt(np.mean((other - truth) ** 2))))
        for method, errors in rows.items():
            total[method] += errors
            label = f"{name[:11]} {method}"
            print(f"{label:24}" + "".join(f"{e:9.4f}" for e in errors), flush=True)
    for method, errors in total.items():
        print(
            f"all, {method}: rms {np.sqrt(np.mean(np.square(errors))):.4f}, max {max(errors):.4f}"
        )


def once_or_twice() -> None:
    """Contrast and displacement of an image sampled once, and reprojected before."""
    import rasterio.enums

    print("\nan image on other pixels, 0.4 px off and 3.3 px away: once against twice")
    print(f"{'':14}{'':28}{'difference':>12}{'EPE phase 32':>14}{'finest contrast':>17}")
    for name, full in scenes():
        full = full[:700, :700]
        pre = located(full, 0.0)
        # The same ground on pixels that begin 0.4 px farther on.
        shifted = fourier_shift(full, 3.3 - 0.4, -2.1 - 0.4)
        post = located(shifted, 0.4)
        results = {"align (once)": xsubpix.align(post, pre)}
        for kind in ("bilinear", "cubic"):
            on_grid = post.rio.reproject_match(
                pre, resampling=getattr(rasterio.enums.Resampling, kind)
            )
            results[f"{kind} reprojected, then align"] = xsubpix.align(on_grid, pre)
        for label, aligned in results.items():
            inner = (slice(40, -40), slice(40, -40))
            rest = (aligned - pre)[inner]
            disp = xsubpix.correlate(pre, aligned, model="phase", window=32, step=8)
            epe = np.hypot(disp.east, disp.north)[5:-5, 5:-5] / 10.0
            fine = [
                np.nanstd(p - scipy.ndimage.gaussian_filter(p, 1.0))
                for p in (aligned.values[inner], pre.values[inner])
            ]
            print(
                f"{name[:13]:14}{label:28}{float(rest.std() / pre.std()):12.2%}"
                f"{float(epe.median()):11.4f} px{fine[0] / fine[1]:17.1%}", flush=True,
            )  # fmt: skip


def located(pixels: np.ndarray, offset: float) -> xr.DataArray:
    """An image of 10 m pixels whose first begins `offset` pixels right of and below the map's."""
    rows, cols = pixels.shape
    transform = Affine(10, 0, 5e5 + 10 * offset, 0, -10, 4e6 - 10 * offset)
    x, y = transform.c + 10 * (np.arange(cols) + 0.5), transform.f - 10 * (np.arange(rows) + 0.5)
    out = xr.DataArray(pixels.astype(np.float32), {"y": y, "x": x}, ("y", "x"))
    return out.rio.write_crs("EPSG:32611")


def large_pair(side: int = 4096) -> None:
    """CPU time and peak memory of a large pair, read lazily."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        ground = scipy.ndimage.gaussian_filter(rng.normal(size=(side + 64, side + 64)), 0.8)
        ground = (10_000 + 20_000 * ground).clip(1, 60_000).astype(np.uint16)
        paths = [Path(folder) / f"{k}.tif" for k in "ab"]
        located(ground[32:-32, 32:-32], 0).astype("u2").rio.to_raster(paths[0])
        located(ground[15:-49, 41:-23], 0).astype("u2").rio.to_raster(paths[1])
        del ground
        before, cpu = time.perf_counter(), time.process_time()
        pre, post = (xsubpix.open_image(p) for p in paths)
        aligned = xsubpix.align(post, pre)
        xsubpix.to_cog(aligned.to_dataset(name="image"), Path(folder) / "out.tif")
        seconds, cpu = time.perf_counter() - before, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"\n{side} x {side}, lazy, aligned and written: {cpu:.1f} CPU s, {seconds:.1f} s, peak "
        f"{peak:.2f} GB; {aligned.registration_x[0]:+.3f}, {aligned.registration_y[0]:+.3f} px "
        "(true -9, +17)"
    )


if __name__ == "__main__":
    parts = {"large": large_pair, "twice": once_or_twice, "known": known_motions,
             "aliased": aliased}  # fmt: skip
    for part in sys.argv[1:] or parts:
        parts[part]()
