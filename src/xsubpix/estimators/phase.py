"""``model="phase"``: the cross-correlation of tapered windows, to sub-pixel precision."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from .base import whole_number
from .windowed import WindowEstimator, values_and_flags

if TYPE_CHECKING:
    import torch

    from .windows import Pair

__all__ = ["Phase"]

# A match below this correlation is looked for again over the whole search
# range; above it, unrelated ground of a tapered window hardly ever gets.
DOUBTFUL = 0.7
# Gauss-Newton: at most this many steps, converged when a step is below TOLERANCE
# pixels (each step leaves a fifth of the error, or less).
STEPS = 6
TOLERANCE = 1e-2


@dataclasses.dataclass(frozen=True)
class Phase(WindowEstimator):
    r"""Cross-correlation of Hann-tapered windows, after Guizar-Sicairos et al. (2008).

    1. The integer displacement is the peak of the circular cross-correlation
       of the two tapered windows, by FFT, all windows of a tile in one call.
    2. Windows whose match is doubtful (correlation below 0.7, more than a
       quarter of the window away, or with missing pixels) are searched again:
       normalised cross-correlation of the tapered window of `pre` with all
       places of `post` within `search`, zero-padded, so that nothing wraps.
    3. The window of `post` is cut again at the integer displacement, and the
       sub-pixel rest :math:`d` maximises the correlation of the two windows.
       Where the published method evaluates an upsampled DFT on a raster of
       1/k px, this is its limit for large k: Gauss-Newton steps, with `post`
       interpolated by a quintic B-spline at :math:`x + d`, so that the taper
       rests on the same ground in both images and does not pull :math:`d`
       towards zero.

    With tapered weights :math:`W = w^2`, gradient :math:`g` of `pre`, and
    means and gain removed, a step solves

    .. math:: \sum W g g^T \, \delta = \sum W g \, (\mathrm{pre} - \mathrm{post}(x + d)).

    ``quality`` is the weighted correlation of the two windows at the end
    (negative: 0). ``sigma`` follows from the residual :math:`r` of the fit, by
    the Cramer-Rao formula of a weighted fit,
    :math:`\sigma^2 = \overline{r^2}\,\sum W^2 g^2 / (\sum W g^2)^2`.

    Parameters
    ----------
    window : int
        Side of the windows, pixels, 8 to 512. The Hann taper makes about half
        of it effective.
    step : int
        Distance of neighbouring windows, pixels.
    search : int, optional
        Largest displacement looked for along each axis, pixels; half a window
        by default. Matches at the rim of the range, or no better than chance,
        are flagged ``out_of_range``.
    refine : bool
        False: the published method alone, that is step 1 and Newton steps to
        the maximum of the trigonometric polynomial (its limit for large k).
        Two to three times faster; nothing is searched again, ``sigma`` is NaN,
        and the taper pulls the displacement towards zero: by 0.02 px at
        window 32 within a pixel, by more beyond.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...

    Notes
    -----
    A window needs half of its pixels valid in both images; missing pixels
    have no weight. Windows without any contrast give NaN and ``low_texture``.

    References
    ----------
    Guizar-Sicairos, M., Thurman, S. T. & Fienup, J. R. (2008). Efficient
    subpixel image registration algorithms. Optics Letters 33, 156-158.

    Robinson, D. & Milanfar, P. (2004). Fundamental performance limits in image
    registration. IEEE Transactions on Image Processing 13, 1185-1199.
    """

    refine: bool = True

    name: ClassVar[str] = "phase"
    description: ClassVar[str] = (
        "Cross-correlation of Hann-tapered windows, continuous sub-pixel maximum "
        "(after Guizar-Sicairos et al. 2008, doi:10.1364/OL.33.000156)"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        search = self.window // 2 if self.search is None else self.search
        object.__setattr__(self, "search", whole_number("search", search, 0, 1024))

    @property
    def halo(self) -> int:
        """Half a window and the search range."""
        return (self.window + 1) // 2 + self._search

    @property
    def own_search(self) -> int:
        """Half a window: beyond, less than half of the ground stays in a window."""
        return self.window // 2

    def _measure(
        self, pair: Pair, which: torch.Tensor, whole: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rows, cols = (origin[which] for origin in pair.origins(self.tile))
        if self.refine:
            return _refined(pair, rows, cols, whole, self._search)
        return _as_published(pair, rows, cols, self._search)


def _refined(
    pair: Pair, rows: torch.Tensor, cols: torch.Tensor, whole: torch.Tensor, search: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Steps 1 to 3: ((dx, dy, sigma, quality), flags) of the windows given."""
    import torch

    from . import windows

    n = rows.numel()
    start = torch.zeros(n, 2, device=pair.device)
    clean = whole.nonzero()[:, 0]
    if clean.numel():
        start[clean] = windows.circular_peak(pair, rows[clean], cols[clean], search)[0]
    fit = windows.refine(pair, rows, cols, start, search, STEPS, TOLERANCE)
    far = start.abs().amax(1) > pair.window // 4
    doubtful = (~whole | far | (fit.quality < DOUBTFUL) | ~fit.converged).nonzero()[:, 0]
    lost = torch.zeros(n, dtype=torch.bool, device=pair.device)
    if doubtful.numel() and search > 0:
        r, c = rows[doubtful], cols[doubtful]
        peak, by_chance = windows.search_peak(pair, r, c, search)
        again = windows.refine(pair, r, c, peak, search, STEPS, TOLERANCE)
        better = again.quality > fit.quality[doubtful]
        fit = fit.replaced(doubtful[better], again.select(better))
        lost[doubtful] = by_chance
    at_rim = fit.shift.abs().amax(1) > search - 0.5
    return values_and_flags(fit, at_rim | lost)


def _as_published(
    pair: Pair, rows: torch.Tensor, cols: torch.Tensor, search: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The maximum of the circular cross-correlation: ((dx, dy, sigma, quality), flags)."""
    import torch

    from . import windows

    # One step leaves an error well below what noise makes of small windows.
    newton = 1 if pair.window <= 32 else 2
    shift, correlation = windows.circular_peak(pair, rows, cols, search, newton)
    fit = windows.Fit(
        shift,
        sigma=torch.full_like(correlation, torch.nan),
        quality=correlation.clamp(0.0, 1.0),
        converged=torch.ones_like(correlation, dtype=torch.bool),
        sound=torch.isfinite(correlation) & (correlation > 0),
    )
    reach = min(search, (pair.window - 1) // 2)
    return values_and_flags(fit, shift.abs().amax(1) > reach - 0.5)
