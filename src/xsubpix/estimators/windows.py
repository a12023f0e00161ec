"""Kernels of the window correlators, on all windows of a tile at once (torch).

A window is a square of N x N pixels cut from a tile. Everything here is
batched: the first dimension of an array is the window.
"""

from __future__ import annotations

import copy
import functools
from typing import NamedTuple

import numpy as np
import torch

from ..devices import elements_at_once, in_batches
from ..kernels.matrices_torch import inverse_of_regular

__all__ = [
    "Fit", "Match", "Pair", "by_chance", "centred", "fisher", "refine",
    "search_peak",
]  # fmt: skip

# An eighth of the window on each side has under 1 % of the taper's weight in all, and is
# only used to interpolate.
RIM = 8
# Structure matrices with a smaller ratio of eigenvalues fix one direction only.
APERTURE = 1e-6
# Calibration on known shifts of real images, see Phase.
SIGMA = 1.05
# Bound on what noise may take from the gradients that both images share.
LEAST_SHARE = 0.1
# Windows with less variance, relative to the tile's, are constant but for rounding.
FAINTEST = 1e-10


class Pair:
    """Two tiles, conditioned, and the windows cut from them.

    Parameters
    ----------
    pre, post : numpy.ndarray of float32
        Tiles (h, w), NaN for missing.
    window, step, halo : int
        Geometry as in :class:`~xsubpix.estimators.base.Estimator`.
    device : torch.device
        Where to work.

    Attributes
    ----------
    taper : torch.Tensor
        Raised cosine along one side, shape (window,), centred on the output's
        point, which lies on a pixel for odd steps, between two for even ones.
    """

    def __init__(
        self,
        pre: np.ndarray,
        post: np.ndarray,
        window: int,
        step: int,
        halo: int,
        device: torch.device,
    ) -> None:
        self.step, self.halo, self.device = step, halo, device
        self._set_window(window)
        self.pre, self.pre_valid = _filled(pre, device)
        self.post, self.post_valid = _filled(post, device)
        self.whole = bool(self.pre_valid.all()) and bool(self.post_valid.all())

    def _set_window(self, window: int) -> None:
        self.window = window
        centre = self.halo + (self.step - 1) / 2
        self.first = int(np.ceil(centre - window / 2))
        offset = np.arange(window) - (centre - self.first)
        self.taper = torch.from_numpy(np.cos(np.pi * offset / window) ** 2).float().to(self.device)

    def with_window(self, window: int) -> Pair:
        """The same tiles, cut into windows of another size at the same points."""
        other = copy.copy(self)
        other.__dict__.pop("local_energy", None)
        other._set_window(window)
        return other

    def origins(self, tile: int) -> tuple[torch.Tensor, torch.Tensor]:
        """First row and column of every window, output by output, shape (tile**2,)."""
        start = self.first + self.step * torch.arange(tile, device=self.device)
        rows, cols = torch.meshgrid(start, start, indexing="ij")
        return rows.reshape(-1), cols.reshape(-1)

    def joint_count(self, rows: torch.Tensor, cols: torch.Tensor) -> torch.Tensor:
        """Pixels of each window that are valid in both tiles (int64)."""
        if self.whole:
            return torch.full_like(rows, self.window**2)
        total = (self.pre_valid & self.post_valid).to(torch.int64).cumsum(0).cumsum(1)
        total = torch.nn.functional.pad(total, (1, 0, 1, 0))
        n = self.window
        return (
            total[rows + n, cols + n] - total[rows, cols + n] - total[rows + n, cols]
        ) + total[rows, cols]  # fmt: skip

    @functools.cached_property
    def local_energy(self) -> torch.Tensor:
        """Weighted variance, times the sum of weights, of every window of `post`.

        The weight is the squared taper; shape (h - window + 1, w - window + 1).
        """
        kernel = (self.taper**2).double()
        x = self.post.double()

        def weighted(x: torch.Tensor) -> torch.Tensor:
            down = x.unfold(0, self.window, 1) @ kernel
            return down.unfold(1, self.window, 1) @ kernel

        energy = weighted(x**2) - weighted(x) ** 2 / kernel.sum() ** 2
        return energy.clamp_min(0.0).float()

    def cut(
        self, image: torch.Tensor, rows: torch.Tensor, cols: torch.Tensor, side: int | None = None
    ) -> torch.Tensor:
        """Copy windows of a tile, shape (n, side, side)."""
        side = side or self.window
        return image.unfold(0, side, 1).unfold(1, side, 1)[rows, cols]


def _filled(tile: np.ndarray, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Standardise a tile and fill its missing pixels with the mean of near ones.

    The fill has no weight anywhere; it only keeps interpolation next to a
    missing pixel from ringing.
    """
    image = torch.from_numpy(np.ascontiguousarray(tile)).to(device)
    valid = torch.isfinite(image)
    if bool(valid.all()):
        return _standard(image, image), valid
    if not bool(valid.any()):
        return torch.zeros_like(image), valid
    image = torch.where(valid, _standard(image, image[valid]), 0.0)
    pool = functools.partial(
        torch.nn.functional.avg_pool2d, kernel_size=9, stride=1, padding=4, divisor_override=1
    )
    near, count = pool(image[None, None])[0, 0], pool(valid[None, None].float())[0, 0]
    return torch.where(valid, image, near / count.clamp_min(1.0)), valid


def _standard(image: torch.Tensor, sample: torch.Tensor) -> torch.Tensor:
    """Subtract the sample's mean, divide by its standard deviation."""
    mean = sample.mean()  # (torch.std_mean is many times slower)
    std = (sample - mean).square_().mean().sqrt_()
    return (image - mean).div_(std.clamp_min(1e-30))


# ------------------------------------------------------------- integer matching


class Match(NamedTuple):
    """The best place of n windows in a search range."""

    shift: torch.Tensor  # (n, 2): dy, dx, whole pixels
    chance: torch.Tensor  # (n,) bool: another place is nearly as good
    scatter: torch.Tensor  # (n,) standard deviation of Fisher's z over all other places


def search_peak(pair: Pair, rows: torch.Tensor, cols: torch.Tensor, search: int) -> Match:
    """Integer displacement by normalised cross-correlation over the whole range.

    The tapered window of `pre` against every place of `post` within `search`;
    weighted means, energies and missing pixels are those of each place, and
    places with less than half of the window's pixels are not looked at.

    """
    n, side = pair.window, pair.window + 2 * search

    def match(r: torch.Tensor, c: torch.Tensor) -> Match:
        ncc = _ncc_surface(pair, r, c, search)
        shift = _argmax(ncc, search)
        ncc = torch.where(ncc > -1.0, fisher(ncc), -torch.inf)
        return Match(shift.float(), *by_chance(ncc, shift, n, LEAD))

    parts = in_batches(match, (rows, cols), elements_at_once(pair.device) // side**2)
    return Match(*(torch.cat(field) for field in zip(*parts, strict=True)))


# The best of many chance matches leads the next by this many standard deviations (of
# Fisher's z over the range) in about one case of a hundred.
LEAD = 1.5


def by_chance(
    surface: torch.Tensor, best: torch.Tensor, window: int, lead: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Matches whose best place does not stand out from the others, and their scatter.

    Of k independent normal values the largest leads the next by an exponential
    amount of mean ``1 / sqrt(2 ln k)`` standard deviations.

    Parameters
    ----------
    surface : torch.Tensor
        A nearly normal measure of the match at every lag, shape (n, k, k), lag zero in
        the middle; minus infinity where there is none.
    best : torch.Tensor of int64
        Lag (dy, dx) of the largest value, shape (n, 2).
    window : int
        Side of the windows, pixels.
    lead : float
        Standard deviations by which the best place must exceed the next.
    """
    width = surface.shape[1]
    lag = torch.arange(width, device=surface.device) - width // 2
    # The best place and what overlaps it in detail do not count as rivals.
    near = max(2, window // 8)
    near_best = (lag - best[:, :1]).abs() <= near, (lag - best[:, 1:]).abs() <= near
    others = ~(near_best[0][:, :, None] & near_best[1][:, None, :]) & torch.isfinite(surface)
    count = others.sum((1, 2)).clamp_min(1)
    mean = torch.where(others, surface, 0.0).sum((1, 2)) / count
    spread = torch.where(others, (surface - mean[:, None, None]) ** 2, 0.0).sum((1, 2)) / count
    scatter = spread.sqrt()
    rival = torch.where(others, surface, -torch.inf).flatten(1).amax(1)
    return surface.flatten(1).amax(1) - rival < lead * scatter, scatter


def fisher(correlation: torch.Tensor) -> torch.Tensor:
    """Fisher's z of correlations, nearly normal with a scatter that does not depend on them."""
    return torch.atanh(correlation.clamp(-0.999999, 0.999999))


def _ncc_surface(pair: Pair, rows: torch.Tensor, cols: torch.Tensor, search: int) -> torch.Tensor:
    """Weighted normalised cross-correlation, shape (n, 2 search + 1, 2 search + 1)."""
    n, side = pair.window, pair.window + 2 * search
    size = (_fast_length(side), _fast_length(side))
    weight = (pair.taper[:, None] * pair.taper) ** 2
    if pair.whole:
        one = centred(pair.cut(pair.pre, rows, cols), weight)
        two = pair.cut(pair.post, rows - search, cols - search, side)
        product = torch.fft.rfft2(weight * one, s=size).conj() * torch.fft.rfft2(two, s=size)
        covariance = torch.fft.irfft2(product, s=size)[:, : 2 * search + 1, : 2 * search + 1]
        width = 2 * search + 1
        energy_two = pair.cut(pair.local_energy, rows - search, cols - search, width)
        energy = (weight * one**2).sum((1, 2), keepdim=True) * energy_two
        floor = 1e-8 * energy.amax((1, 2), keepdim=True) + 1e-30
        return torch.where(energy > floor, covariance / energy.clamp_min(1e-30).sqrt(), -1.0)
    one, one_valid = pair.cut(pair.pre, rows, cols), pair.cut(pair.pre_valid, rows, cols)
    two = pair.cut(pair.post, rows - search, cols - search, side)
    two_valid = pair.cut(pair.post_valid, rows - search, cols - search, side)
    w1 = weight * one_valid
    one = centred(one, w1)
    two = centred(two, two_valid.float()) * two_valid

    def spectrum(x: torch.Tensor) -> torch.Tensor:
        return torch.fft.rfft2(x, s=size)

    def lagged(x: torch.Tensor) -> torch.Tensor:
        surface = torch.fft.irfft2(x, s=size)
        return surface[:, : 2 * search + 1, : 2 * search + 1]

    s_two, s_square = spectrum(two), spectrum(two**2)
    s_w = spectrum(w1).conj()
    s_one = spectrum(w1 * one).conj()
    s_valid = spectrum(two_valid.float())
    cross, sum_two, sum_square = lagged(s_one * s_two), lagged(s_w * s_two), lagged(s_w * s_square)
    total = lagged(s_w * s_valid).clamp_min(1e-6)
    sum_one = lagged(s_one * s_valid)
    one_square = lagged(spectrum(w1 * one**2).conj() * s_valid)
    covariance = cross - sum_one * sum_two / total
    energy = (one_square - sum_one**2 / total) * (sum_square - sum_two**2 / total)
    # Rounding leaves a little energy in constant places: it must not divide.
    floor = 1e-8 * energy.amax((1, 2), keepdim=True) + 1e-30
    ncc = torch.where(energy > floor, covariance / energy.clamp_min(1e-30).sqrt(), -1.0)
    joint = lagged(spectrum(one_valid.float()).conj() * s_valid)
    return torch.where(2 * joint.round() >= n * n, ncc, -2.0)


def _argmax(surface: torch.Tensor, search: int) -> torch.Tensor:
    best = surface.flatten(1).argmax(1)
    width = 2 * search + 1
    return torch.stack([best // width - search, best % width - search], 1)


@functools.cache
def _fast_length(n: int) -> int:
    import scipy.fft

    return int(scipy.fft.next_fast_len(n, real=True))


# ---------------------------------------------------------- sub-pixel refinement


class Fit(NamedTuple):
    """Sub-pixel matches of n windows."""

    shift: torch.Tensor  # (n, 2): dy, dx, pixels
    sigma: torch.Tensor  # (n,) pixels
    quality: torch.Tensor  # (n,) weighted correlation, 0 to 1
    converged: torch.Tensor  # (n,) bool
    textured: torch.Tensor  # (n,) bool: the contrast fixes both components

    def select(self, which: torch.Tensor) -> Fit:
        """Some of the windows."""
        return Fit(*(field[which] for field in self))

    def replaced(self, which: torch.Tensor, other: Fit) -> Fit:
        """A copy with some of the windows replaced."""
        return Fit(*(a.index_copy(0, which, b) for a, b in zip(self, other, strict=True)))

    def where(self, take: torch.Tensor, other: Fit) -> Fit:
        """A copy with those of `other`, as many windows, where `take` (n,) is true."""
        pairs = zip(self, other, strict=True)
        return Fit(*(torch.where(take[:, None] if a.ndim > 1 else take, b, a) for a, b in pairs))


def refine(
    pair: Pair,
    rows: torch.Tensor,
    cols: torch.Tensor,
    start: torch.Tensor,
    search: int,
    steps: int,
    tolerance: float,
) -> Fit:
    """Refine displacements to the sub-pixel maximum of the weighted correlation.

    Gauss-Newton on the windows of `pre` and `post`, weighted by the squared
    taper, with the mean and the gain of `post` refitted at every step. Windows
    that do not converge near their start are cut again at their new place.

    Parameters
    ----------
    pair : Pair
    rows, cols : torch.Tensor of int64
        First pixel of each window, shape (n,).
    start : torch.Tensor of float
        Displacement (dy, dx) to start from, shape (n, 2).
    search : int
        Bound on the integer part of the displacement.
    steps : int
        Gauss-Newton steps at most.
    tolerance : float
        Convergence: size of the last step, pixels.
    """

    def fitted(r: torch.Tensor, c: torch.Tensor, s: torch.Tensor) -> Fit:
        fit = _refine_once(pair, r, c, s, search, 2, tolerance)
        left = (~fit.converged).nonzero()[:, 0]
        if left.numel():
            # Most windows are done after two steps; the rest goes on from its
            # new place, or from the start where that led astray.
            near = (fit.shift - s).abs().amax(1, keepdim=True) < 1.0
            again = torch.where(near, fit.shift, s)[left]
            fit = fit.replaced(
                left, _refine_once(pair, r[left], c[left], again, search, steps, tolerance)
            )
        return fit

    size = elements_at_once(pair.device) // pair.window**2
    parts = in_batches(fitted, (rows, cols, start), size)
    return Fit(*(torch.cat(field) for field in zip(*parts, strict=True)))


def _refine_once(
    pair: Pair,
    rows: torch.Tensor,
    cols: torch.Tensor,
    start: torch.Tensor,
    search: int,
    steps: int,
    tolerance: float,
) -> Fit:
    """Fit windows in at most `steps` Gauss-Newton steps from `start`, (n, 2) pixels."""
    n = pair.window
    basis = _cosines(n, pair.device)
    inner = slice(n // RIM, n - n // RIM)
    whole = start.round().clamp(-search, search)
    there = rows + whole[:, 0].long(), cols + whole[:, 1].long()
    side = pair.taper[inner] ** 2
    weight = (side[:, None] * side)[None]
    if not pair.whole:
        valid = pair.cut(pair.pre_valid, rows, cols) & pair.cut(pair.post_valid, *there)
        weight = weight * valid[:, inner, inner]
    total = weight.sum((1, 2))
    pre = pair.cut(pair.pre, rows, cols)
    own = _with_gradients(pre, weight, inner, basis)
    weighted = own * weight[:, None]
    sums = weighted.sum((2, 3))
    gram = weighted.flatten(2) @ own.flatten(2).mT
    energy = gram[:, 0, 0].clamp_min(1e-30)
    inverse_gram, textured = inverse_of_regular(gram[:, 1:3, 1:3], APERTURE)
    coefficients = basis.forward @ pair.cut(pair.post, *there) @ basis.forward.T

    sub = start - whole
    size = torch.full_like(energy, torch.inf)
    for k in range(steps):
        two = _shifted(coefficients, sub, basis)
        mean = (weight * two).sum((1, 2)) / total
        products = (weighted.flatten(2) @ two.flatten(1)[:, :, None])[:, :, 0]
        products -= mean[:, None] * sums
        gain = products[:, 0] / energy
        matched = gain > 1e-3
        safe_gain = torch.where(matched, gain, 1.0)
        pull = gram[:, 1:3, 0] - products[:, 1:] / safe_gain[:, None]
        # Windows that are done stay where they are, whatever the others of the batch do.
        moving = (matched & (size >= tolerance))[:, None]
        step = (inverse_gram @ pull[:, :, None])[:, :, 0].clamp(-1.0, 1.0)
        before, sub = sub, torch.where(moving, (sub + step).clamp(-2.0, 2.0), sub)
        moved = torch.where(matched, (sub - before).abs().amax(1), torch.inf)
        size = torch.where(size < tolerance, size, moved)
        if k + 1 < steps and bool((size < tolerance).all()):
            break
    # What follows describes the last place looked at, one step before `sub`.
    energy_two = (weight * two**2).sum((1, 2)) - mean**2 * total
    quality = products[:, 0] / (energy * energy_two.clamp_min(1e-30)).sqrt()
    residual = (energy_two / safe_gain**2 - energy).clamp_min(0.0) / total
    sigma = (residual * _variance(weighted[:, 1:], inverse_gram)).sqrt() * SIGMA
    sigma /= _shared_gradient(weighted[:, 1:], own[:, 0], two, safe_gain)
    # Without any correlation nothing is known but the range.
    sigma = torch.where(matched, sigma, float(max(search, 1)))
    converged = (size < tolerance) & (sub.abs().amax(1) <= 0.75)
    textured &= torch.minimum(energy, energy_two) > FAINTEST * total
    return Fit(whole + sub, sigma, quality.clamp(0.0, 1.0), converged, textured)


def _with_gradients(
    pre: torch.Tensor, weight: torch.Tensor, inner: slice, basis: _Cosines
) -> torch.Tensor:
    """Windows without their mean, their slopes along y and along x: (n, 3, m, m)."""
    side = weight.shape[-1]
    own = torch.empty(len(pre), 3, side, side, device=pre.device)
    own[:, 0] = centred(pre[:, inner, inner], weight)
    own[:, 1] = basis.derivative @ pre[:, :, inner]
    own[:, 2] = pre[:, inner] @ basis.derivative.T
    return own


def _variance(slopes: torch.Tensor, inverse_gram: torch.Tensor) -> torch.Tensor:
    """Variance of the shift for unit noise of a pixel, mean of both components, shape (n,)."""
    spread = slopes.flatten(2) @ slopes.flatten(2).mT
    return (inverse_gram @ spread @ inverse_gram.mT).diagonal(dim1=1, dim2=2).mean(1)


def _shared_gradient(
    weighted: torch.Tensor, one: torch.Tensor, two: torch.Tensor, gain: torch.Tensor
) -> torch.Tensor:
    """Share of the gradients' energy that both images have, shape (n,).

    The score's slope is the product of both images' gradients. The square of one image's
    counts its noise as contrast, and sigma would be too small where noise is strong.
    """
    own, both = torch.zeros_like(gain), torch.zeros_like(gain)
    for axis in (1, 2):
        slope = weighted[:, axis - 1, 2:-2, 2:-2]
        for image, total in ((one, own), (two, both)):
            total += (slope * _difference(image, axis)).sum((1, 2))
    return (both / (gain * own.clamp_min(1e-30))).clamp(LEAST_SHARE, 1.0)


def _difference(image: torch.Tensor, axis: int) -> torch.Tensor:
    """Central difference over five pixels, without the two outer pixels on each side."""
    line = image.narrow(3 - axis, 2, image.shape[3 - axis] - 4)
    size = image.shape[axis] - 4
    far, near, ahead, beyond = (line.narrow(axis, k, size) for k in (0, 1, 3, 4))
    return (8 * (ahead - near) - (beyond - far)) / 12


def centred(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Subtract each window's weighted mean."""
    total = weight.sum((-2, -1), keepdim=True).clamp_min(1e-30)
    return x - (weight * x).sum((1, 2), keepdim=True) / total


class _Cosines(NamedTuple):
    """Constant matrices of the cosine series of n samples (reflected ends).

    Values are wanted at the m samples inside of the window's rim.
    """

    forward: torch.Tensor  # (n, n) samples to coefficients
    waves: torch.Tensor  # (m, 2 n) cosines and sines at the samples
    derivative: torch.Tensor  # (m, n) samples to the derivative of the series
    frequency: torch.Tensor  # (n,) radians per pixel


@functools.lru_cache(maxsize=64)
def _cosines(n: int, device: torch.device) -> _Cosines:
    frequency = np.pi * np.arange(n) / n
    phase = (np.arange(n)[:, None] + 0.5) * frequency
    forward = 2.0 / n * np.cos(phase).T
    forward[0] /= 2.0
    inner = slice(n // RIM, n - n // RIM)
    matrices = (
        forward,
        np.hstack([np.cos(phase), np.sin(phase)])[inner],
        (-np.sin(phase) * frequency @ forward)[inner],
        frequency,
    )
    return _Cosines(*(torch.from_numpy(m).float().to(device) for m in matrices))


def _shifted(coefficients: torch.Tensor, shift: torch.Tensor, basis: _Cosines) -> torch.Tensor:
    """Windows, without rim, at every pixel plus one shift a window, by cosine series.

    Trigonometric interpolation is exact for what an image holds up to Nyquist,
    where splines damp; the reflection at the ends lies under the taper.
    `shift` (n, 2) is (dy, dx).
    """
    angle = shift[:, :, None] * basis.frequency
    cos, sin = angle.cos(), -angle.sin()
    count, n, _ = coefficients.shape
    across = torch.empty(count, n, 2 * n, device=coefficients.device)
    torch.mul(coefficients, cos[:, 1, None, :], out=across[:, :, :n])
    torch.mul(coefficients, sin[:, 1, None, :], out=across[:, :, n:])
    part = across @ basis.waves.T
    down = torch.empty(count, 2 * n, part.shape[2], device=coefficients.device)
    torch.mul(part, cos[:, 0, :, None], out=down[:, :n])
    torch.mul(part, sin[:, 0, :, None], out=down[:, n:])
    return basis.waves @ down
