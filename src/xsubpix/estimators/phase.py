"""``model="phase"``: the cross-correlation of tapered windows, to sub-pixel precision."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from . import windows
from .base import Estimate, Estimator, Flag, whole_number

if TYPE_CHECKING:
    import torch

__all__ = ["Phase"]

# A match below this correlation is looked for again over the whole search
# range; above it, unrelated ground of a tapered window hardly ever gets.
DOUBTFUL = 0.7
# Gauss-Newton: at most this many steps, converged when a step is below TOLERANCE
# pixels (each step leaves a fifth of the error, or less).
STEPS = 6
# Pixels along the side of all windows of a tile, put side by side.
TILE = 512
TOLERANCE = 1e-2


@dataclasses.dataclass(frozen=True)
class Phase(Estimator):
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

    window: int = 32
    search: int | None = None
    refine: bool = True

    name: ClassVar[str] = "phase"
    description: ClassVar[str] = (
        "Cross-correlation of Hann-tapered windows, continuous sub-pixel maximum "
        "(after Guizar-Sicairos et al. 2008, doi:10.1364/OL.33.000156)"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "window", whole_number("window", self.window, 8, 512))
        search = self.window // 2 if self.search is None else self.search
        object.__setattr__(self, "search", whole_number("search", search, 0, 1024))

    @property
    def halo(self) -> int:
        """Half a window and the search range."""
        return (self.window + 1) // 2 + self._search

    @property
    def support(self) -> int:
        """Half a window."""
        return (self.window + 1) // 2

    @property
    def tile(self) -> int:
        """As many windows as stay in a processor's cache, in at most 512 pixels of image."""
        return max(1, min(TILE // self.window, 512 // self.step))

    @property
    def own_search(self) -> int:
        """Half a window: beyond, less than half of the ground stays in a window."""
        return self.window // 2

    @property
    def _search(self) -> int:
        assert self.search is not None  # set in __post_init__
        return self.search

    def __call__(self, pre: np.ndarray, post: np.ndarray) -> Estimate:
        """See :meth:`Estimator.__call__`."""
        import torch

        device = windows.torch_device(self.device)
        parts = []
        with windows.one_thread(), torch.inference_mode():
            for one, two in zip(pre, post, strict=True):
                pair = windows.Pair(one, two, self.window, self.step, self.halo, device)
                parts.append(_measure(pair, self._search, self.tile, self.refine))
        return Estimate(*(np.stack(field) for field in zip(*parts, strict=True)))


def _measure(pair: windows.Pair, search: int, tile: int, refine: bool) -> tuple[np.ndarray, ...]:
    """Measure one tile: arrays (tile, tile) in the order of Estimate."""
    import torch

    n = tile * tile
    rows, cols = pair.origins(tile)
    valid = pair.joint_count(rows, cols)
    measurable = 2 * valid >= pair.window**2
    out = torch.full((4, n), torch.nan, device=pair.device)
    flags = torch.zeros(n, dtype=torch.uint8, device=pair.device)
    flags[~measurable] |= int(Flag.NODATA)
    which = measurable.nonzero()[:, 0]
    if which.numel():
        if refine:
            whole = valid[which] == pair.window**2
            fit, bits = _measure_windows(pair, rows[which], cols[which], whole, search)
        else:
            fit, bits = _as_published(pair, rows[which], cols[which], search)
        out[:, which] = fit
        flags[which] |= bits
    dx, dy, sigma, quality = out.reshape(4, tile, tile).cpu().numpy()
    return dx, dy, sigma, quality, flags.reshape(tile, tile).cpu().numpy()


def _measure_windows(
    pair: windows.Pair, rows: torch.Tensor, cols: torch.Tensor, whole: torch.Tensor, search: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Measure the windows whose first pixels are given: ((dx, dy, sigma, quality), flags)."""
    import torch

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
        peak, rival = windows.search_peak(pair, r, c, search)
        again = windows.refine(pair, r, c, peak, search, STEPS, TOLERANCE)
        better = again.quality > fit.quality[doubtful]
        fit = fit.replaced(doubtful[better], again.select(better))
        lost[doubtful] = rival
    at_rim = fit.shift.abs().amax(1) > search - 0.5
    bits = torch.zeros(n, dtype=torch.uint8, device=pair.device)
    bits[~fit.converged] |= int(Flag.NOT_CONVERGED)
    bits[at_rim | lost] |= int(Flag.OUT_OF_RANGE)
    bits[~fit.sound] = int(Flag.LOW_TEXTURE)
    values = torch.stack([fit.shift[:, 1], fit.shift[:, 0], fit.sigma, fit.quality])
    return values.masked_fill(~fit.sound, torch.nan), bits


def _as_published(
    pair: windows.Pair, rows: torch.Tensor, cols: torch.Tensor, search: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The maximum of the circular cross-correlation: ((dx, dy, sigma, quality), flags)."""
    import torch

    # One step leaves an error well below what noise makes of small windows.
    newton = 1 if pair.window <= 32 else 2
    shift, correlation = windows.circular_peak(pair, rows, cols, search, newton)
    sound = torch.isfinite(correlation) & (correlation > 0)
    reach = min(search, (pair.window - 1) // 2)
    bits = torch.zeros(rows.numel(), dtype=torch.uint8, device=pair.device)
    bits[shift.abs().amax(1) > reach - 0.5] = int(Flag.OUT_OF_RANGE)
    bits[~sound] = int(Flag.LOW_TEXTURE)
    sigma = torch.full_like(correlation, torch.nan)
    values = torch.stack([shift[:, 1], shift[:, 0], sigma, correlation.clamp(0.0, 1.0)])
    return values.masked_fill(~sound, torch.nan), bits
