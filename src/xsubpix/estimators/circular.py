"""Circular correlation of tapered windows as the trigonometric polynomial it is (torch).

The first kernel of :mod:`xsubpix.estimators.phase`, and with ``refine=False`` all of it. The
published method evaluates an upsampled DFT around the peak; Newton steps on the same polynomial
are its limit for large factors.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..kernels.matrices_torch import inverse_of_regular
from ..kernels.vertices import vertex_offset
from .windows import APERTURE, Fit, Pair, centred

__all__ = ["circular_fit", "circular_peak"]

# The scatter of a normalised cross-spectrum's residual phases gives too small a sigma, since
# neighbouring frequencies of a tapered window share their noise: 35/18 for white noise and a
# Hann taper in two dimensions, and this on known shifts of real images, see Phase.
CALIBRATION = {"none": 1.9, "phase": 1.9}
# Amplitudes below this share of a window's strongest are rounding.
ROUNDING = 1e-6


class _Correlation(NamedTuple):
    product: torch.Tensor  # (n, N, N // 2 + 1) cross-spectrum
    perfect: torch.Tensor  # (n,) value of the correlation for identical windows
    shift: torch.Tensor  # (n, 2): dy, dx of the peak, pixels


def circular_peak(
    pair: Pair, rows: torch.Tensor, cols: torch.Tensor, search: int, normalization: str
) -> torch.Tensor:
    """Displacement by the circular cross-correlation of tapered windows.

    Parameters
    ----------
    pair : Pair
    rows, cols : torch.Tensor of int64
        First pixel of each window, shape (n,).
    search : int
        Bound on both components of the largest value's lag.
    normalization : {"none", "phase"}
        Whether the cross-spectrum keeps its amplitude or is divided by it.

    Returns
    -------
    torch.Tensor of float
        (dy, dx) of the vertex of the parabolas through the largest value and its
        neighbours, shape (n, 2).
    """
    return _correlate(pair, rows, cols, search, normalization).shift


def circular_fit(
    pair: Pair,
    rows: torch.Tensor,
    cols: torch.Tensor,
    search: int,
    normalization: str,
    newton: int,
) -> Fit:
    """The maximum of the circular cross-correlation, by `newton` steps from its largest value.

    Parameters
    ----------
    pair, rows, cols, search, normalization
        As in :func:`circular_peak`.
    newton : int
        Steps, 1 or more; they leave an error far below that of the noise.

    Returns
    -------
    Fit
        Its quality is the value of the correlation over that of identical windows.
    """
    product, perfect, shift = _correlate(pair, rows, cols, search, normalization)
    polynomial = _Polynomial(pair.window, pair.device)
    for _ in range(newton):
        value, slope, bend = polynomial.at(product, shift)
        inverted, textured = inverse_of_regular(-bend, APERTURE)
        step = (inverted @ slope[:, :, None])[:, :, 0] * textured[:, None]
        shift = shift + step.clamp(-0.25, 0.25)
    # The curvature hardly changes in the last step.
    variance = inverted @ polynomial.spread(product, shift) @ inverted
    sigma = CALIBRATION[normalization] * variance.diagonal(dim1=1, dim2=2).mean(1).sqrt()
    quality = value / perfect
    return Fit(
        shift,
        sigma=torch.where(textured, sigma, float(max(search, 1))),
        quality=quality.clamp(0.0, 1.0),
        converged=textured,
        textured=torch.isfinite(quality) & (quality > 0),
    )


def _correlate(
    pair: Pair, rows: torch.Tensor, cols: torch.Tensor, search: int, normalization: str
) -> _Correlation:
    n = pair.window
    weight = pair.taper[:, None] * pair.taper
    windows = [
        weight * centred(pair.cut(image, rows, cols), weight) for image in (pair.pre, pair.post)
    ]
    one, two = (torch.fft.rfft2(window) for window in windows)
    product = one.conj() * two
    if normalization == "phase":
        # Roots of squares: the modulus of complex numbers takes ten times as long.
        power = product.real.square().add_(product.imag.square())
        floor = ROUNDING**2 * power.amax((1, 2), keepdim=True) + 1e-30
        product *= torch.maximum(power, floor).rsqrt_()
        textured = torch.minimum(*(window.square().sum((1, 2)) for window in windows)) > 0
        perfect = textured.to(weight.dtype)
    else:
        energy = windows[0].square().sum((1, 2)) * windows[1].square().sum((1, 2))
        perfect = energy.sqrt()
    surface = torch.fft.irfft2(product, s=(n, n))
    reach = min(search, (n - 1) // 2)
    lags = torch.arange(-reach, reach + 1, device=pair.device)
    near = surface[:, lags % n][:, :, lags % n]
    best = near.flatten(1).argmax(1)
    y, x = lags[best // lags.numel()], lags[best % lags.numel()]
    at = torch.arange(rows.numel(), device=pair.device)
    peak = surface[at, y % n, x % n]
    vertex = [
        vertex_offset(
            surface[at, (y - dy) % n, (x - dx) % n], peak, surface[at, (y + dy) % n, (x + dx) % n]
        )
        for dy, dx in ((1, 0), (0, 1))
    ]
    return _Correlation(
        product, perfect.clamp_min(1e-30), torch.stack([y, x], 1) + torch.stack(vertex, 1)
    )


class _Polynomial:
    """Derivatives of trigonometric polynomials given by half-plane spectra of N x N samples."""

    def __init__(self, n: int, device: torch.device) -> None:
        self.n = n
        ky = 2 * torch.pi * torch.fft.fftfreq(n, device=device)
        self.kx = 2 * torch.pi * torch.fft.rfftfreq(n, device=device)
        # The other half plane is the conjugate; Nyquist has no phase, hence no weight.
        self.twice = torch.full_like(self.kx, 2.0)
        self.twice[0] = 1.0
        if n % 2 == 0:
            self.twice[-1] = 0.0
            ky = torch.where(ky.abs() > torch.pi - 1e-3, 0.0, ky)
        self.ky = ky

    def at(
        self, product: torch.Tensor, shift: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Value (n,), gradient (n, 2) and Hessian (n, 2, 2) at one place a window.

        The matrix-multiply DFT of Guizar-Sicairos et al. (2008).
        """
        waves = []
        for k, wave in zip((self.ky, self.kx), self._waves(shift), strict=True):
            waves.append(torch.stack([wave, 1j * k * wave, -(k**2) * wave], 2))
        moments = (waves[0].mT @ (product @ (self.twice[:, None] * waves[1]))).real / self.n**2
        value, slope = moments[:, 0, 0], torch.stack([moments[:, 1, 0], moments[:, 0, 1]], 1)
        bend = [moments[:, 2, 0], moments[:, 1, 1], moments[:, 1, 1], moments[:, 0, 2]]
        return value, slope, torch.stack(bend, 1).reshape(-1, 2, 2)

    def spread(self, product: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        """Covariance (n, 2, 2) of the gradient, from its terms' scatter about zero."""
        down, across = self._waves(shift)
        rest = (down[:, :, None] * across[:, None, :]).mul_(product)
        square = rest.imag.square().mul_(self.twice**2 / self.n**4)
        powers = torch.stack([torch.ones_like(self.kx), self.kx, self.kx**2], 1)
        zeroth, first, second = (square @ powers).unbind(2)
        yy, yx, xx = zeroth @ self.ky**2, first @ self.ky, second.sum(1)
        return torch.stack([torch.stack([yy, yx], 1), torch.stack([yx, xx], 1)], 1)

    def _waves(self, shift: torch.Tensor) -> list[torch.Tensor]:
        """exp(j k d) down and across, shapes (n, N) and (n, N // 2 + 1)."""
        angles = (
            k * d for k, d in zip((self.ky, self.kx), (shift[:, :1], shift[:, 1:]), strict=True)
        )
        return [torch.complex(angle.cos(), angle.sin()) for angle in angles]
