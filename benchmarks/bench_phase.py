"""``model="phase"``: accuracy on rigid shifts, noise against the Cramer-Rao bound, speed.

    python benchmarks/bench_phase.py

Peer: scikit-image's phase_cross_correlation, window by window, on the same windows.
"""

from __future__ import annotations

import argparse
import dataclasses
import time

import numpy as np
import torch
from common import chips_of_test_split, fourier_shift, noise_for
from skimage.registration import phase_cross_correlation

from xsubpix.estimators import Flag
from xsubpix.estimators.phase import Phase
from xsubpix.estimators.windows import Pair

UNSURE = int(Flag.UNSURE)


def tiles(image: np.ndarray, estimator: Phase, first: int = 96) -> np.ndarray:
    """One tile of an image and its corner, as the estimator wants it."""
    side = estimator.tile * estimator.step + 2 * estimator.halo
    return image[None, first : first + side, first : first + side].astype(np.float32)


def estimator_for(window: int) -> Phase:
    """Windows that overlap by half, as many as a tile holds."""
    return Phase(window=window, step=window // 2, search=max(8, window // 4), device="cpu")


def bound(image: np.ndarray, estimator: Phase, noise: float) -> np.ndarray:
    """Cramer-Rao bound of each tapered window, pixels, shape (2, tile, tile): dy, dx.

    var >= 2 s^2 sum W^2 g^2 / (sum W g^2)^2, with W the squared Hann taper and g the exact
    (Fourier) derivative: the formula of Robinson & Milanfar (2004) for weighted windows.
    """
    spectrum = np.fft.fft2(image)
    frequency = [2j * np.pi * np.fft.fftfreq(n) for n in image.shape]
    out = []
    for k in (frequency[0][:, None], frequency[1][None, :]):
        gradient = np.fft.ifft2(spectrum * k).real
        (tile,) = tiles(gradient**2, estimator)
        pair = Pair(
            tile, tile, estimator.window, estimator.step, estimator.halo, torch.device("cpu")
        )
        squared = pair.cut(torch.from_numpy(tile), *pair.origins(estimator.tile))
        weight = (pair.taper[:, None] * pair.taper) ** 2
        variance = (weight**2 * squared).sum((1, 2)) / (weight * squared).sum((1, 2)) ** 2
        out.append(np.sqrt(2 * noise**2 * variance.numpy()).reshape(2 * (estimator.tile,)))
    return np.stack(out)


def accuracy(chips: list[tuple[str, np.ndarray]], rng: np.random.Generator) -> None:
    """Print the error of rigid shifts, with and without noise."""
    print("Rigid sub-pixel shifts (exact, Fourier) of real chips; errors per component, px.")
    print("Noise: white, in both images, for a mean local correlation of 0.9.")
    print(
        f"{'window':>6} | {'noise-free RMSE':>15} {'99.9 %':>7} {'kept':>6} | "
        f"{'RMSE':>7} {'bound':>7} {'ratio':>6} {'robust':>6} {'outliers':>8} {'kept':>6}"
    )
    for window in (16, 32, 64):
        estimator = estimator_for(window)
        clean, noisy, bounds, kept = [], [], [], []
        for _, chip in chips:
            noise = noise_for(chip, 0.9)
            for shift in rng.uniform(-0.5, 0.5, (4, 2)):
                post = fourier_shift(chip, *shift)
                for images, errors in (
                    ((chip, post), clean),
                    (tuple(im + rng.normal(0, noise, chip.shape) for im in (chip, post)), noisy),
                ):
                    got = estimator(*(tiles(im, estimator) for im in images))
                    sure = (got.flags & UNSURE) == 0
                    error = np.stack([got.dy[0] - shift[0], got.dx[0] - shift[1]])
                    errors.append(np.where(sure, error, np.nan))
                    kept.append(sure.mean())
                bounds.append(bound(chip, estimator, noise))
        free, noisy_, least = np.array(clean), np.array(noisy), np.array(bounds)
        outlier = np.abs(noisy_) > 1.0
        fine = np.where(outlier, np.nan, noisy_)
        # The bound is that of small errors: where it exceeds a quarter of a pixel, it says little.
        meant = least < 0.25
        ratio = rms(fine[meant]) / rms(least[meant & np.isfinite(fine)])
        robust = np.nanmedian(np.abs(noisy_ / least)) / 0.6745
        print(
            f"{window:6d} | {rms(free):15.4f} {np.nanpercentile(np.abs(free), 99.9):7.4f} "
            f"{np.mean(kept[0::2]):6.1%} | {rms(fine):7.4f} {rms(least):7.4f} {ratio:6.2f} "
            f"{robust:6.2f} {np.nanmean(outlier[np.isfinite(noisy_)]):8.2%} "
            f"{np.mean(kept[1::2]):6.1%}"
        )
    print("ratio: RMS error over RMS bound, windows whose bound is below 0.25 px, without outliers")
    print("(errors above 1 px); robust: from the median of |error| / bound, all windows kept.")
    print("wanted: noise-free RMSE <= 0.01 at window 32; ratio <= 1.3.\n")


def rms(x: np.ndarray) -> float:
    """Root mean square, NaN left out."""
    return float(np.sqrt(np.nanmean(np.asarray(x) ** 2)))


def speed(chips: list[tuple[str, np.ndarray]], rng: np.random.Generator) -> None:
    """Print CPU time a window and error beside the scikit-image loop."""
    torch.set_num_threads(1)
    print("CPU time a window and error, same windows, noise-free and at correlation 0.9")
    print(
        f"{'window':>6} {'pair':>10} | {'skimage us':>10} {'RMSE':>7} | {'refine=False':>12} "
        f"{'ratio':>6} {'RMSE':>7} | {'default us':>10} {'ratio':>6} {'RMSE':>7}"
    )
    for window in (16, 32, 64):
        estimator = estimator_for(window)
        chip = chips[0][1]
        shift = np.array([0.31, -0.42])
        post = fourier_shift(chip, *shift)
        noise = noise_for(chip, 0.9)
        noisy = tuple(im + rng.normal(0, noise, chip.shape) for im in (chip, post))
        for name, images in (("noise-free", (chip, post)), ("0.9", noisy)):
            pre, after = (tiles(im, estimator) for im in images)
            theirs, found = skimage_loop(pre[0], after[0], estimator)
            other = found - shift[:, None, None]
            cells, errors = [], [other]
            for refine in (False, True):
                model = dataclasses.replace(estimator, refine=refine)
                got = model(pre, after)
                seconds = []
                for _ in range(7):
                    start = time.process_time()
                    got = model(pre, after)
                    seconds.append((time.process_time() - start) / got.dx.size)
                errors.append(np.stack([got.dy[0] - shift[0], got.dx[0] - shift[1]]))
                cells.append(min(seconds))
            good = np.logical_and.reduce([(np.abs(e) < 1).all(0) for e in errors])
            text = f"{window:6d} {name:>10} | {1e6 * theirs:10.1f} {rms(other[:, good]):7.4f} |"
            for width, seconds_, error in zip((12, 10), cells, errors[1:], strict=True):
                text += (
                    f" {1e6 * seconds_:{width}.1f} {theirs / seconds_:6.1f} "
                    f"{rms(error[:, good]):7.4f} |"
                )
            print(text)
    print(
        "RMSE over windows where all err by less than 1 px; wanted: ratio >= 20, error no larger\n"
    )


def skimage_loop(pre: np.ndarray, post: np.ndarray, estimator: Phase) -> tuple[float, np.ndarray]:
    """CPU seconds a window and displacement (2, tile, tile) of the scikit-image loop."""
    pair = Pair(pre, post, estimator.window, estimator.step, estimator.halo, torch.device("cpu"))
    rows, cols = (x.numpy() for x in pair.origins(estimator.tile))
    n = estimator.window
    taper = (pair.taper[:, None] * pair.taper).numpy()
    found = np.empty((2, rows.size))
    start = time.process_time()
    for k, (r, c) in enumerate(zip(rows, cols, strict=True)):
        one, two = (im[r : r + n, c : c + n] for im in (pre, post))
        one, two = taper * (one - one.mean()), taper * (two - two.mean())
        shift, _, _ = phase_cross_correlation(one, two, upsample_factor=100, normalization=None)
        found[:, k] = -shift
    seconds = (time.process_time() - start) / rows.size
    return seconds, found.reshape(2, estimator.tile, estimator.tile)


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chips", type=int, default=6)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    chips = chips_of_test_split(options.chips)
    accuracy(chips, rng)
    speed(chips, rng)


if __name__ == "__main__":
    main()
