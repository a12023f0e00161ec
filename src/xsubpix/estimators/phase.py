"""``model="phase"``: the cross-correlation of tapered windows, to sub-pixel precision."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from ..checks import whole_number
from ..errors import ModelError
from .windowed import WindowEstimator, outputs_of_fit

if TYPE_CHECKING:
    import torch

    from .windows import Fit, Pair

__all__ = ["Phase"]

# A match below this correlation is looked for again over the whole search
# range; above it, unrelated ground of a tapered window hardly ever gets.
DOUBTFUL = 0.7
# Places nearer than this to each other are one match, pixels.
SAME = 2.0
# Gauss-Newton: at most this many steps, converged when a step is below TOLERANCE
# pixels (each step leaves a fifth of the error, or less).
STEPS = 6
TOLERANCE = 1e-2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase(WindowEstimator):
    r"""Cross-correlation of Hann-tapered windows, after Guizar-Sicairos et al. (2008).

    1. The integer displacement is the peak of the circular cross-correlation
       of the two tapered windows, by FFT, all windows of a tile in one call.
    2. Windows whose match is doubtful (correlation below 0.7, more than a
       quarter of the window away, or with missing pixels) are searched again,
       in two ways: windows of twice the side, whose cross-spectrum is divided
       by the root of its amplitude (on real second dates these peaks are
       hardly ever wrong; those of cross-correlation follow large features that
       changed), and the tapered window of `pre` against all places of `post`
       within `search`, normalised and zero-padded, so that nothing wraps. The
       match of the former stands, unless the window itself correlates
       significantly better elsewhere: Fisher's z of the correlation leads by
       what the best of as many chance places as lie nearer would.
    3. The window of `post` is cut again at the integer displacement, and the
       sub-pixel rest :math:`d` maximises the correlation of the two windows.
       Where the published method evaluates an upsampled DFT on a raster of
       1/k px, this is its limit for large k: Gauss-Newton steps, with `post`
       interpolated by its cosine series at :math:`x + d`, so that the taper
       rests on the same ground in both images and does not pull :math:`d`
       towards zero.

    With tapered weights :math:`W = w^2`, gradient :math:`g` of `pre`, and
    means and gain removed, a step solves

    .. math:: \sum W g g^T \, \delta = \sum W g \, (\mathrm{pre} - \mathrm{post}(x + d)).

    ``quality`` is the weighted correlation of the two windows at the end
    (negative: 0). ``sigma`` follows from the residual :math:`r` of the fit, by
    the Cramer-Rao formula of a weighted fit,

    .. math:: \sigma^2 = k^2\, \overline{r^2}\,\frac{\sum W^2 g^2}{(a \sum W g^2)^2},

    a the share of the gradients' energy that both images have in common (the
    rest is noise, not contrast). k = 1.05 was calibrated on known shifts of real
    images: in unflagged windows of 32 px one sigma covered 71 % and two sigma
    96 % of the errors at pair correlation 0.9 with white noise, 69 % and 96 % at
    0.8, 67 % and 95 % at 0.6, and 66 % and 93 % without noise (67 % and 95 % at
    0.9 in windows of 16 px, 70 % and 96 % in windows of 64 px).

    Parameters
    ----------
    window : int
        Side of the windows, pixels, 8 to 512. The Hann taper makes about half
        of it effective.
    step : int, optional
        Distance of neighbouring windows, pixels; a quarter of a window by default.
    search : int, optional
        Largest displacement looked for along each axis, pixels; half a window
        by default. Matches at the rim of the range, or no better than chance,
        are flagged ``out_of_range``.
    refine : bool
        False: the published method alone, that is step 1 and Newton steps to
        the maximum of the trigonometric polynomial. There is no ``upsampling``
        factor to choose: the result is that of k to infinity, where k = 100, a
        usual choice, rounds to 1/100 px. Two to three times faster; but nothing
        is searched again, and the taper pulls the displacement towards zero: by
        0.02 px at window 32 within a pixel, by more beyond. ``sigma`` is then the
        scatter of the cross-spectrum's terms over the curvature of its peak
        (68 % and 95 % covered at correlation 0.9 and 0.8; outliers, which it
        does not know, are 6 % at 0.6).
    normalization : {"none", "phase"}
        ``"none"``: the cross-spectrum of step 1 keeps its amplitude (cross-correlation,
        the published method). ``"phase"``: it is divided by it (phase correlation).
        The latter is blind to gain and blur that differ between the images, and
        noisier: all frequencies count alike, whether they hold contrast or noise.
        With ``refine=False`` this is the whole measurement; else it only gives the pixel
        to start from.
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

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> from xsubpix.estimators.phase import Phase
    >>> ground = np.random.default_rng(0).normal(size=(96, 96)).cumsum(0).cumsum(1)
    >>> pre, post = (xr.DataArray(g, dims=("y", "x")) for g in (ground[:, 1:], ground[:, :-1]))
    >>> disp = xsubpix.correlate(pre, post, model=Phase(window=32, step=8))
    >>> round(float(disp.east[5, 5]), 1)  # moved one pixel right
    1.0
    """

    refine: bool = True
    normalization: str = "none"

    name: ClassVar[str] = "phase"
    description: ClassVar[str] = (
        "Cross-correlation of Hann-tapered windows, continuous sub-pixel maximum "
        "(after Guizar-Sicairos et al. 2008, doi:10.1364/OL.33.000156)"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        search = self.window // 2 if self.search is None else self.search
        object.__setattr__(self, "search", whole_number("search", search, 0, 1024))
        if self.normalization not in ("none", "phase"):
            raise ModelError(f"normalization={self.normalization!r}: give 'none' or 'phase'.")

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
    ) -> dict[str, torch.Tensor]:
        rows, cols = (origin[which] for origin in pair.origins(self.tile))
        if self.refine:
            return _refined(pair, rows, cols, whole, self._search, self.normalization)
        return _as_published(pair, rows, cols, self._search, self.normalization)


def _refined(
    pair: Pair,
    rows: torch.Tensor,
    cols: torch.Tensor,
    whole: torch.Tensor,
    search: int,
    normalization: str,
) -> dict[str, torch.Tensor]:
    """Outputs of the windows given, by steps 1 to 3."""
    import torch

    from . import circular, windows

    n = rows.numel()
    start = torch.zeros(n, 2, device=pair.device)
    clean = whole.nonzero()[:, 0]
    if clean.numel():
        start[clean] = circular.circular_peak(pair, rows[clean], cols[clean], search, normalization)
    fit = windows.refine(pair, rows, cols, start, search, STEPS, TOLERANCE)
    far = start.abs().amax(1) > pair.window // 4
    doubtful = (~whole | far | (fit.quality < DOUBTFUL) | ~fit.converged).nonzero()[:, 0]
    by_chance = torch.zeros(n, dtype=torch.bool, device=pair.device)
    if doubtful.numel() and search > 0:
        again, by_chance[doubtful] = _searched_again(
            pair, rows[doubtful], cols[doubtful], fit.select(doubtful), search
        )
        fit = fit.replaced(doubtful, again)
    at_rim = fit.shift.abs().amax(1) > search - 0.5
    return outputs_of_fit(fit, at_rim | by_chance)


def _searched_again(
    pair: Pair, rows: torch.Tensor, cols: torch.Tensor, own: Fit, search: int
) -> tuple[Fit, torch.Tensor]:
    """Step 2 on some windows, with their fit so far: (fit, whether it may be chance)."""
    from . import spectrum, windows

    match = windows.search_peak(pair, rows, cols, search)
    far = windows.refine(pair, rows, cols, match.shift, search, STEPS, TOLERANCE)
    best, chance = far, match.chance.clone()
    wide = pair.with_window(2 * min(pair.window, pair.halo))
    # From the first pixel of a window to that of the wide one around it.
    lead = wide.first - pair.first
    whole = wide.joint_count(rows + lead, cols + lead) == wide.window**2
    (near,) = whole.nonzero(as_tuple=True)
    if near.numel():
        at = rows[near] + lead, cols[near] + lead
        context = spectrum.phase_peak(wide, *at, search, judge=True)
        best = best.replaced(near, _kept_near(pair, rows[near], cols[near], context.shift, search))
        chance[near] &= context.chance
    for other in (own, far):
        apart = (other.shift - best.shift).square().sum(1)
        gain = windows.fisher(other.quality) - windows.fisher(best.quality)
        # The best of as many chance places as lie nearer, two pixels apart each way.
        enough = gain > match.scatter * (2 * (1 + apart).log()).sqrt()
        best = best.where(other.textured & enough & (~match.chance | (apart < SAME**2)), other)
    return best, chance


def _kept_near(
    pair: Pair, rows: torch.Tensor, cols: torch.Tensor, start: torch.Tensor, search: int
) -> Fit:
    """Fits from a start that is known to a pixel; those that leave it stay there, as doubtful."""
    import torch

    from . import windows

    fit = windows.refine(pair, rows, cols, start, search, STEPS, TOLERANCE)
    moved = (fit.shift - start).abs().amax(1)
    (astray,) = (moved > 1.0).nonzero(as_tuple=True)
    if not astray.numel():
        return fit
    first = windows.refine(pair, rows[astray], cols[astray], start[astray], search, 1, TOLERANCE)
    return fit.replaced(
        astray,
        first._replace(
            shift=start[astray],
            sigma=torch.hypot(first.sigma, moved[astray]),
            converged=torch.zeros_like(first.converged),
        ),
    )


def _as_published(
    pair: Pair, rows: torch.Tensor, cols: torch.Tensor, search: int, normalization: str
) -> dict[str, torch.Tensor]:
    """Outputs at the maximum of the circular cross-correlation."""
    from . import circular

    # One step leaves an error well below what noise makes of small windows.
    newton = 1 if pair.window <= 32 and normalization == "none" else 2
    fit = circular.circular_fit(pair, rows, cols, search, normalization, newton)
    reach = min(search, (pair.window - 1) // 2)
    return outputs_of_fit(fit, fit.shift.abs().amax(1) > reach - 0.5)
