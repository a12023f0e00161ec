"""Phase planes of cross-spectra, for all windows of a tile at once (torch).

The kernels of :mod:`xsubpix.estimators.cosi_corr`. Images are real, so half of
a spectrum holds everything. In :func:`fit_plane` windows run along the last
dimension: sums over frequencies and steps of single windows then work on
contiguous numbers, which makes them several times faster.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch

from ..devices import elements_at_once, in_batches
from ..kernels.matrices_torch import inverse_of_regular
from ..kernels.vertices import vertex_offset
from .windows import FAINTEST, Match, Pair, by_chance

__all__ = ["PlaneFit", "fit_plane", "phase_peak"]

# Amplitudes below this share of a window's strongest are rounding.
ROUNDING = 1e-6
# Ratio of determinant and squared trace of the normal matrix under which the
# frequencies that count lie on a line through the origin, ...
LEAST_RATIO = 1e-3
# ... and of the matrix of gradients under which the ground is striped.
APERTURE = 1e-5
# Reach of a missing pixel's weight, pixels.
SOFT = 4
# Neighbouring frequencies of a tapered window share their noise: for white noise and a
# Hann taper in two dimensions, deviations are 35/18 of those of independent ones. This
# is what known shifts of real images show, see CosiCorr.
CALIBRATION = 1.7
# The peak of half-whitened windows of real images leads the next place by more than this
# many standard deviations, unless its ground lies beyond the search.
LEAD = 3.0
# Bound on what the choice of small residuals may take from the score's slope.
LEAST_SLOPE = 0.1


class PlaneFit(NamedTuple):
    """Phase planes fitted to n windows."""

    shift: torch.Tensor  # (n, 2): dy, dx, pixels
    sigma: torch.Tensor  # (n,) pixels
    quality: torch.Tensor  # (n,) signal-to-noise ratio, 0 to 1
    converged: torch.Tensor  # (n,) bool
    textured: torch.Tensor  # (n,) bool: the contrast fixes both components

    def select(self, which: torch.Tensor) -> PlaneFit:
        """Some of the windows."""
        return PlaneFit(*(field[which] for field in self))

    def replaced(self, which: torch.Tensor, other: PlaneFit) -> PlaneFit:
        """A copy with some of the windows replaced."""
        return PlaneFit(*(a.index_copy(0, which, b) for a, b in zip(self, other, strict=True)))


# ------------------------------------------------------------- integer matching


def phase_peak(
    pair: Pair, rows: torch.Tensor, cols: torch.Tensor, search: int, *, judge: bool
) -> Match:
    """Displacement at the peak of the half-whitened correlation of tapered windows.

    The circular correlation of the two windows, with the cross-spectrum divided
    by the root of its amplitude: halfway between cross-correlation, which the
    large features of a changed landscape lead astray, and phase correlation,
    which noise does.

    Parameters
    ----------
    pair : Pair
    rows, cols : torch.Tensor of int64
        First pixel of each window, shape (n,), the same in both images.
    search : int
        Largest displacement along each axis, pixels.
    judge : bool
        Whether to say if the peak may be chance; costs a seventh of the time.

    Returns
    -------
    Match
        Its shift is the vertex of the parabolas through the largest value and
        its neighbours.
    """
    parts = in_batches(
        lambda r, c: _phase_peak(pair, r, c, search, judge), (rows, cols),
        elements_at_once(pair.device) // pair.window**2,
    )  # fmt: skip
    return Match(*(torch.cat(field) for field in zip(*parts, strict=True)))


def _phase_peak(
    pair: Pair, rows: torch.Tensor, cols: torch.Tensor, search: int, judge: bool
) -> Match:
    n = pair.window
    weight = pair.taper[:, None] * pair.taper
    one, two = (
        torch.fft.rfft2(_tapered(pair.cut(image, rows, cols), weight))
        for image in (pair.pre, pair.post)
    )
    cross = one.conj() * two
    # Roots of squares: the modulus of complex numbers takes ten times as long.
    power = cross.real.square().add_(cross.imag.square())
    floor = ROUNDING**2 * power.amax((1, 2), keepdim=True) + 1e-30
    cross *= torch.maximum(power, floor).sqrt_().rsqrt_()
    # One lag more on each side for the parabola, that cannot win itself.
    reach = min(search, n // 2 - 1)
    lags = torch.arange(-reach - 1, reach + 2, device=pair.device)
    near = torch.fft.ifft(cross, dim=1)[:, lags % n]
    near = torch.fft.irfft(near, n, dim=2)[:, :, lags % n]
    width = 2 * reach + 1
    best = near[:, 1:-1, 1:-1].flatten(1).argmax(1)
    y, x = best // width + 1, best % width + 1
    at = torch.arange(rows.numel(), device=pair.device)
    peak = near[at, y, x]
    vertex = [
        vertex_offset(near[at, y - dy, x - dx], peak, near[at, y + dy, x + dx])
        for dy, dx in ((1, 0), (0, 1))
    ]
    whole = torch.stack([lags[y], lags[x]], 1)
    shift = whole + torch.stack(vertex, 1)
    if not judge:
        return Match(
            shift, torch.zeros_like(peak, dtype=torch.bool), torch.full_like(peak, torch.nan)
        )
    return Match(shift, *by_chance(near[:, 1:-1, 1:-1], whole, n, LEAD))


# ------------------------------------------------------------------ plane fit


class _Frequencies(NamedTuple):
    """The frequencies of N x N real samples: all rows, columns below Nyquist's."""

    down: torch.Tensor  # (N, 1) radians per pixel
    across: torch.Tensor  # (c, 1)
    counts: torch.Tensor  # (N * c, 1) whether a frequency counts
    angle: torch.Tensor  # (2, N * c): down, across
    products: torch.Tensor  # (3, N * c): down^2, down * across, across^2


@functools.lru_cache(maxsize=64)
def _frequencies(n: int, device: torch.device) -> _Frequencies:
    down = 2 * torch.pi * torch.fft.fftfreq(n, device=device)
    across = 2 * torch.pi * torch.fft.rfftfreq(n, device=device)[: (n + 1) // 2]
    y, x = (f.flatten() for f in torch.meshgrid(down, across, indexing="ij"))
    # The first column holds each frequency twice, as conjugates, and the mean; at
    # Nyquist's frequency a shift and its negative look alike.
    counts = ((x > 0) | (y > 0)) & (y.abs() < torch.pi * (1 - 0.5 / n))
    return _Frequencies(
        down[:, None], across[:, None], counts[:, None],
        torch.stack([y, x]), torch.stack([y * y, y * x, x * x]),
    )  # fmt: skip


def fit_plane(
    pair: Pair,
    rows: torch.Tensor,
    cols: torch.Tensor,
    start: torch.Tensor,
    *,
    search: int,
    mask: float,
    iterations: int,
    exponent: int,
    tolerance: float,
) -> PlaneFit:
    """Fit a plane through the origin to the phase of each window's cross-spectrum.

    Parameters
    ----------
    pair : Pair
    rows, cols : torch.Tensor of int64
        First pixel of each window of `pre`, shape (n,).
    start : torch.Tensor of float
        Displacement (dy, dx) to start from, shape (n, 2), right to a pixel.
    search : int
        Bound on the whole pixels by which the window of `post` is displaced.
    mask : float
        Frequencies count where log10 of the amplitude, relative to the
        strongest, exceeds `mask` times its mean.
    iterations : int
        Robustness iterations.
    exponent : int
        Of the robust weights.
    tolerance : float
        Convergence: size of the last step, pixels.
    """
    parts = in_batches(
        lambda r, c, s: _fit(pair, r, c, s, search, mask, iterations, exponent, tolerance),
        (rows, cols, start), elements_at_once(pair.device) // pair.window**2,
    )  # fmt: skip
    return PlaneFit(*(torch.cat(field) for field in zip(*parts, strict=True)))


def _fit(
    pair: Pair,
    rows: torch.Tensor,
    cols: torch.Tensor,
    start: torch.Tensor,
    search: int,
    mask: float,
    iterations: int,
    exponent: int,
    tolerance: float,
) -> PlaneFit:
    frequencies = _frequencies(pair.window, pair.device)
    whole = start.round().clamp(-search, search)
    there = rows + whole[:, 0].long(), cols + whole[:, 1].long()
    pre, post = pair.cut(pair.pre, rows, cols), pair.cut(pair.post, *there)
    valid: torch.Tensor | float = 1.0
    if not pair.whole:
        valid = _soft(pair.cut(pair.pre_valid, rows, cols) & pair.cut(pair.post_valid, *there))
    one = _tapered(pre, pair.taper[:, None] * pair.taper * valid)
    first = _half_plane(one, frequencies).conj().resolve_conj()

    shift = (start - whole).clamp(-1.0, 1.0)
    base = None
    # Two rounds: the first's shift says where the taper of `post` has to lie.
    for robust in (0, iterations):
        across, down = _moved_taper(pair, shift[:, 1]), _moved_taper(pair, shift[:, 0])
        two = _tapered(post, down[:, :, None] * across[:, None, :] * valid)
        cross = first * _half_plane(two, frequencies)
        power = cross.real.square().add_(cross.imag.square()).clamp_min_(1e-37)
        if base is None:
            base = _amplitude_mask(power, mask) * frequencies.counts
        cross *= power.rsqrt_()
        plane = _plane(cross, frequencies, base, shift, robust, exponent)
        shift = plane.shift
    energy = torch.minimum((one**2).sum((1, 2)), (two**2).sum((1, 2)))
    textured = plane.textured & (energy > FAINTEST * (pair.taper**2).sum() ** 2)
    textured &= _two_dimensional(pre, pair.taper)
    converged = (plane.step < tolerance) & (shift.abs().amax(1) <= 1.0)
    return PlaneFit(whole + shift, plane.sigma, plane.quality, converged, textured)


def _tapered(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Subtract each window's weighted mean, and taper."""
    total = weight.sum((-2, -1), keepdim=True).clamp_min(1e-30)
    return weight * (x - (weight * x).sum((1, 2), keepdim=True) / total)


def _soft(valid: torch.Tensor) -> torch.Tensor:
    """Share of valid pixels around each, the weight of what is missing or near it.

    Edges of a mask do not move with the ground: hard ones would pull to zero. The
    missing pixels themselves are filled with the mean of near ones, see Pair.
    """
    pooled = torch.nn.functional.avg_pool2d(
        valid[:, None].float(), 2 * SOFT + 1, stride=1, padding=SOFT, count_include_pad=False
    )
    return pooled[:, 0]


def _two_dimensional(window: torch.Tensor, taper: torch.Tensor) -> torch.Tensor:
    """Windows whose gradients (of pixels' differences) do not all point the same way."""
    # Every second pixel of every second row tells it as well.
    even = taper.numel() // 2 * 2
    here = window[:, :even:2, :even:2]
    y, x = window[:, 1:even:2, :even:2] - here, window[:, :even:2, 1:even:2] - here
    weight = (taper**2)[:even:2]
    yy, yx, xx = (((a * b) @ weight) @ weight for a, b in ((y, y), (y, x), (x, x)))
    return yy * xx - yx * yx > APERTURE * (yy + xx) ** 2


def _moved_taper(pair: Pair, shift: torch.Tensor) -> torch.Tensor:
    """The taper along one side, moved with the ground by `shift` (n,): shape (n, window)."""
    n = pair.window
    centre = _centre(pair)
    offset = torch.arange(n, device=pair.device) - centre - shift[:, None]
    return torch.where(offset.abs() < n / 2, torch.cos(torch.pi / n * offset) ** 2, 0.0)


def _centre(pair: Pair) -> float:
    """Centre of a window's taper, pixels from its first."""
    # Even windows on odd steps, and odd ones on even, are half a pixel off their output.
    return (pair.window - 1) / 2 + 0.5 * ((pair.window + pair.step) % 2)


def _half_plane(x: torch.Tensor, frequencies: _Frequencies) -> torch.Tensor:
    """Spectra of windows (n, N, N) at the frequencies in use, shape (f, n)."""
    spectrum = torch.fft.rfft2(x)[:, :, : frequencies.across.numel()]
    return spectrum.permute(1, 2, 0).flatten(0, 1)


def _amplitude_mask(power: torch.Tensor, mask: float) -> torch.Tensor:
    """Frequencies whose log10 amplitude is above `mask` times its mean, as 0 and 1 (f, n)."""
    level = power.log10()
    level -= level.amax(0)
    return (level > mask * level.mean(0)).float()


class _Plane(NamedTuple):
    shift: torch.Tensor  # (n, 2)
    step: torch.Tensor  # (n,) size of the last step
    sigma: torch.Tensor
    quality: torch.Tensor
    textured: torch.Tensor


def _plane(
    q: torch.Tensor,
    frequencies: _Frequencies,
    base: torch.Tensor,
    shift: torch.Tensor,
    iterations: int,
    exponent: int,
) -> _Plane:
    """Gauss-Newton steps on sum W |Q - exp(-j w.d)|^2, one after each reweighting.

    `q` is the normalised cross-spectrum conj(F1) F2, shape (f, n).
    """
    f, n = q.shape
    weights = base
    for _ in range(max(1, iterations)):
        ones = torch.ones_like(shift[:, 0])
        down, across = (
            torch.polar(ones.expand(angle.numel(), n), angle * shift[:, axis])
            for axis, angle in enumerate((frequencies.down, frequencies.across))
        )
        rest = (down[:, None] * across).view(f, n).mul_(q)
        # phi = |Q - exp(-j w.d)|^2 = 2 - 2 cos; this is 1 - phi / 4.
        closeness = rest.real.add(1.0).mul_(0.5)
        if iterations > 0:
            weights = _power(closeness, exponent).mul_(weights)
        score = weights * rest.imag
        pull = -(frequencies.angle @ score).T
        inverse, textured = inverse_of_regular(_matrix(frequencies.products @ weights), LEAST_RATIO)
        step = (inverse @ pull[:, :, None])[:, :, 0].clamp(-1.0, 1.0)
        shift = (shift + step).clamp(-2.0, 2.0)
    # A sandwich: the spread of the score over its slope. Weights depend on the residual
    # r, W = c^m with c = (1 + cos r) / 2, so that d(W sin r)/dr = W (2 (1 + m) c - 1 - 2 m).
    spread = _matrix(frequencies.products @ score.square_())
    variance = (inverse @ spread @ inverse).diagonal(dim1=1, dim2=2).mean(1)
    order = exponent * iterations
    slope = (weights * closeness).sum(0) / weights.sum(0).clamp_min(1e-30)
    slope = (2 * (1 + order) * slope - 1 - 2 * order).clamp_min_(LEAST_SLOPE)
    quality = (base * closeness).sum(0) / base.sum(0).clamp_min(1.0)
    sigma = CALIBRATION * variance.sqrt() / slope
    return _Plane(shift, step.abs().amax(1), sigma, quality, textured)


def _power(x: torch.Tensor, exponent: int) -> torch.Tensor:
    """``x ** exponent`` by squaring: torch's power of other than 2 and 3 is slow."""
    result = None
    while exponent:
        if exponent & 1:
            result = x if result is None else result * x
        exponent >>= 1
        if exponent:
            x = x * x
    return torch.ones_like(x) if result is None else result


def _matrix(products: torch.Tensor) -> torch.Tensor:
    """Symmetric matrices (n, 2, 2) of their elements yy, yx, xx, shape (3, n)."""
    yy, yx, xx = products
    return torch.stack([torch.stack([yy, yx], 1), torch.stack([yx, xx], 1)], 1)
