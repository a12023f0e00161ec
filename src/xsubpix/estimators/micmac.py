"""Dense matching by regularised correlation, as MicMac does for ground displacement.

The method of MM2DPosSism (Rosu, Pierrot-Deseilligny, Delorme, Binet & Klinger
2015, "Measurement of ground displacement from optical satellite image
correlation using the free open-source software MicMac", ISPRS J. Photogramm.
Remote Sens. 100, 48-59), written from its description.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from scipy import ndimage

from ..checks import real_number, whole_number
from ..errors import ModelError
from ..kernels.local_correlation import LocalMean, box_mean
from ..kernels.smooth_fill import fill_smooth
from ..kernels.vertices import vertex_height
from .base import Estimate, Estimator, Flag
from .dense import core_of_block, sample_blocks

if TYPE_CHECKING:
    from .peaks import Peaks

__all__ = ["MicMac"]

# Steps of the stages, twentieths of a pixel, and weights of the regularisation, in which
# `regularisation` is the cost of a difference of one pixel between neighbours.
_STEPS = (16, 8, 4, 2, 1)
_WEIGHTS = {"robust": (1.0, 1.0, 1.0, 1.0, 1.0), "published": (2.0, 2.0, 1.0, 1.0, 0.3)}
_UNITS = 20  # displacement units to the pixel
_RADIUS = 2  # candidates to each side of the last result, after the first stage
_LEAST_CORRELATION = 0.5
# Largest slope, pixels of displacement per pixel, and the most that a difference can cost.
_STEEPEST = {"robust": 8.0, "published": 0.4}
_MOST = {"robust": 2.0, "published": math.inf}
# The regularisation is the full one, times the last two numbers at least and at most, where
# the correlation of small windows, taken over 15 px, falls short of the first by the second.
_CLEAN, _NOISY, _SOFTEST, _STIFFEST = 0.95, 0.15, 1 / 3, 1.5
_TAPS = 5  # half-width of the interpolation kernel
_ANISOTROPY = 0.5  # change of the regularisation along and across a fault
# Context of the dynamic programming beyond a window's reach, pixels: results on two
# lattices then differ by 0.010 px rms within 8 px of a seam on a real pair.
_MARGIN = 48
# Windows with less variance, relative to the tile's, are constant but for rounding.
_FAINTEST = 1e-10
# What a fault and errors extend over, pixels; see the properties.
_BLUR, _ERROR_LENGTH = 7.0, 33.0
# Low-pass filter 1 - sin^8(omega / 2) of both images, before matching: flat up to
# half the Nyquist frequency, zero at it. What lies beyond cannot be interpolated by
# ten taps, and would pull displacements towards half pixels by up to 0.016 px.
_LOW_PASS = -np.array([1, -8, 28, -56, 70 - 256, -56, 28, -8, 1]) / 256.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class MicMac(Estimator):
    """Dense regularised correlation of small windows (MicMac, Rosu et al. 2015).

    Five stages with steps of 0.8, 0.4, 0.2, 0.1 and 0.05 px, each searching two
    steps around the last result: normalised cross-correlation (NCC) of every
    pixel's window with each candidate, interpolated by an apodised sinc; then,
    along lines in many directions, dynamic programming of cost plus
    ``weight * (|ddx| + |ddy|)`` between neighbours, summed over the directions.
    Last, the steps of 0.05 px are taken out from the shape of the correlations'
    peaks (:func:`xsubpix.estimators.peaks.settle`).

    What differs from the published settings, each for a measured reason
    (``benchmarks/bench_micmac.py``):

    - Both images are low-passed first: without, rigid shifts of real images come
      out up to 0.016 px too near half a pixel.
    - Windows of 5 px, not 9, since they see less of a fault's other side.
    - ``schedule="robust"``: one weight for all stages; no bound of 0.4 px/px on
      the slope, which makes an offset of 3 px a ramp of 8 px of ground; a jump of
      either component costs 2 at most, so that an offset may be sharp; and all of
      this times a number between 1/3 and 1.5 that grows with the noise of the
      tile, seen in the correlation of its windows. Near an offset of 3 px the error
      is a quarter of what the published weights leave (times 8, windows of 9 px) on
      a clean pair, and two thirds of it on real second dates.
    - `gamma` is 1, not 2, since the square makes good matches nearly free, so
      that gradients turn into stairs.

    ``schedule="published", window=9, gamma=2, regularisation=1`` is the
    publication's choice.

    `quality` is the NCC at the match, not below 0. `sigma` is the Cramer-Rao
    bound of the peaks (curvature and residual), less what the regularisation
    takes off it, see :func:`xsubpix.estimators.peaks.settle`; the error within a
    window of a fault is not in it. On real images moved by ruptures of 1 px, farther
    than 16 px from the trace, one sigma covered 80 % and two sigma 98 % of the
    errors at pair correlation 0.9 with white noise, 76 % and 95 % at 0.6, 89 % and
    99 % without. Near missing pixels sigma is not below what the images say of the result
    (:func:`~xsubpix.estimators.image_sigma.sigma_from_images`). Windows without contrast
    give NaN and ``low_texture``; where correlation stays under 0.5 only the regularisation
    speaks: ``not_converged``. Results are NaN, flagged ``nodata``, where less than half
    of the window is valid in both images at the same place.

    Parameters
    ----------
    step : int, optional
        Distance of neighbouring outputs, input pixels, 1 by default. Matching is always
        done at full resolution; an odd step takes the block's middle pixel,
        an even one the mean of its four middle pixels.
    device : str
        ``"auto"`` or ``"cpu"``: the loops are compiled for the CPU.
    window : int
        Side of the correlation window, pixels, odd, 5 to 15.
    search : float
        Largest displacement per component looked for, pixels, 0.5 to 8.
    directions : int
        Orientations of the dynamic-programming lines over 180 degrees, 4 to
        32; each is swept both ways.
    regularisation : float
        Cost of a difference of one pixel between neighbours, where 1 is the cost
        of the worst correlation; a factor on the weights of the schedule.
    gamma : float
        Exponent of the matching cost, 0.5 to 4:
        ``cost = ((1 - max(NCC, 0.5)) / 0.5)^gamma``.
    schedule : {"robust", "published"}
        "published": weights of 2, 2, 1, 1 and 0.3 in the five stages, slopes of at
        most 0.4 px/px, and a cost that grows without bound.
    azimuth : float, optional
        Strike of a fault, degrees clockwise from the image's up (its first
        row): the regularisation becomes 1.5 times as strong along the strike
        and half as strong across it.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> from xsubpix.estimators.micmac import MicMac
    >>> ground = np.random.default_rng(0).normal(size=(96, 96)).cumsum(0).cumsum(1)
    >>> pre, post = (xr.DataArray(g, dims=("y", "x")) for g in (ground[:, 1:], ground[:, :-1]))
    >>> disp = xsubpix.correlate(pre, post, model=MicMac(step=8))
    >>> round(float(disp.east[5, 5]), 1)  # moved one pixel right
    1.0
    """

    window: int = 5
    search: float = 2.0
    directions: int = 14
    regularisation: float = 2.4
    gamma: float = 1.0
    schedule: str = "robust"
    azimuth: float | None = None

    # Its windows correlate what is there in both images, and nothing that was filled in.
    bears_patterns: ClassVar[bool] = True
    # Its filter and its interpolation reach over values that were: 0.2 px off among missing
    # pixels at random, where its peaks are as sharp as elsewhere.
    least_sigma: ClassVar[str] = "holes"
    name: ClassVar[str] = "micmac"
    description: ClassVar[str] = (
        "normalised cross-correlation with multi-directional dynamic programming "
        "(Rosu et al. 2015, MicMac)"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.device not in {"auto", "cpu"}:
            raise ModelError(
                f"device={self.device!r}: model 'micmac' runs on the CPU; "
                "give device='auto' or 'cpu'."
            )
        window = whole_number("window", self.window, 5, 15)
        if window % 2 == 0:
            raise ModelError(f"window={window}: give an odd number of pixels, 5 to 15.")
        object.__setattr__(self, "window", window)
        object.__setattr__(self, "directions", whole_number("directions", self.directions, 4, 32))
        object.__setattr__(self, "search", real_number("search", self.search, 0.5, 8.0))
        object.__setattr__(
            self, "regularisation", real_number("regularisation", self.regularisation, 0.0, 1000.0)
        )
        object.__setattr__(self, "gamma", real_number("gamma", self.gamma, 0.5, 4.0))
        if self.schedule not in _WEIGHTS:
            raise ModelError(f"schedule={self.schedule!r}: give 'robust' or 'published'.")
        if self.azimuth is not None:
            object.__setattr__(self, "azimuth", real_number("azimuth", self.azimuth, -360.0, 360.0))
        if importlib.util.find_spec("numba") is None:
            raise ModelError(
                "model 'micmac' needs numba, which is not installed: pip install 'xsubpix[micmac]'"
            )

    @property
    def blur(self) -> float:
        """Distance from a fault beyond which the error is below 3 % of its offset, pixels: 7.

        Measured as for :attr:`OpticalFlow.blur
        <xsubpix.estimators.opencv.OpticalFlow.blur>`, with the default parameters.
        """
        return _BLUR

    @property
    def likeness_reach(self) -> float:
        """Distance over which results depend on each other, pixels: the blur."""
        return self.blur

    @property
    def error_length(self) -> float:
        """Side of the square over which errors are about the same, pixels: 33.

        Measured as for :attr:`OpticalFlow.error_length
        <xsubpix.estimators.opencv.OpticalFlow.error_length>`, with the default parameters:
        the regularisation makes errors smooth.
        """
        return _ERROR_LENGTH

    @property
    def own_search(self) -> int:
        """Four pixels: the candidates grow with the square of the search."""
        return 4

    @property
    def _first_radius(self) -> int:
        """Candidates to each side of zero in the first stage."""
        return math.ceil(self.search * _UNITS / _STEPS[0] - 1e-9)

    @property
    def _inset(self) -> int:
        """Reach of one pixel's correlations: window, displacement and kernel."""
        units = self._first_radius * _STEPS[0]
        units += sum(_RADIUS * step for step in _STEPS[1:]) + _RADIUS
        return self.window // 2 + math.ceil(units / _UNITS) + self._spread

    @property
    def _spread(self) -> int:
        """Reach of the low-pass filter and of the interpolation, pixels."""
        return _TAPS + len(_LOW_PASS) // 2

    @property
    def halo(self) -> int:
        """Context that one output needs on each side of its block, pixels."""
        return self._inset + _MARGIN

    @property
    def support(self) -> int:
        """Half a window, with half of the filter and of the interpolation, pixels."""
        return self.window // 2 + self._spread

    @property
    def tile(self) -> int:
        """Outputs a tile side: 256 input pixels, fewer for a wide search."""
        return max(1, (256 if self.search <= 4 else 128) // self.step)

    def __call__(self, pre: np.ndarray, post: np.ndarray) -> Estimate:
        """Match two batches of tiles; see :meth:`Estimator.__call__`."""
        kernels = _kernels()
        cut, step = core_of_block(self.step, self.tile)
        inside = slice(cut, pre.shape[1] - cut)
        pairs = zip(pre[:, inside, inside], post[:, inside, inside], strict=True)
        fields = [self._measure(kernels, one, two) for one, two in pairs]
        return sample_blocks(fields, self.halo, step, self.outputs)

    def _measure(self, kernels: _Kernels, pre: np.ndarray, post: np.ndarray) -> Estimate:
        """Displacement at every pixel of a tile; nothing within ``_inset`` of its rim."""
        inset = self._inset
        first, first_ok = _complete(pre)
        second, second_ok = _complete(post)
        both = first_ok & second_ok
        enough = box_mean(both, self.window) >= 0.5
        enough[:inset] = enough[-inset:] = False
        enough[:, :inset] = enough[:, -inset:] = False
        field = Estimate.missing(pre.shape, self.outputs)
        if not enough.any():
            return field
        # Only the part with data: at the border of an image much of a tile is empty.
        box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(enough))
        context = tuple(slice(s.start - inset, s.stop + inset) for s in box)
        reach = inset - self._spread
        clean = ndimage.minimum_filter(both, 2 * reach + 1, mode="constant", cval=False)
        found, stiffness = self._match(
            kernels,
            first[context],
            first_ok[context],
            second[context],
            second_ok[context],
            box_mean(second, self.window).astype(np.float32)[context],
            clean[box],
        )
        dx, dy, sigma = kernels.peaks.settle(found, self.window, self.search, stiffness)
        mean = LocalMean(both, self.window)
        flat = (mean.variance(first.astype(np.float64)) < _FAINTEST) | (
            mean.variance(second.astype(np.float64)) < _FAINTEST
        )
        untextured = (found.correlation == 0.0) & flat[box]
        flags = np.zeros(dx.shape, np.uint8)
        flags[found.correlation < _LEAST_CORRELATION] |= Flag.NOT_CONVERGED
        flags[np.maximum(abs(dx), abs(dy)) > self.search + 1 / _UNITS] |= Flag.OUT_OF_RANGE
        flags[untextured] = Flag.LOW_TEXTURE
        flags[~enough[box]] = Flag.NODATA
        for values in (dx, dy, sigma):
            values[untextured] = np.nan
        quality = np.clip(found.correlation, 0.0, 1.0)
        field.put(box, Estimate(dx, dy, sigma, quality, flags))
        return field

    def _match(
        self,
        kernels: _Kernels,
        first: np.ndarray,
        first_ok: np.ndarray,
        second: np.ndarray,
        second_ok: np.ndarray,
        second_mean: np.ndarray,
        clean: np.ndarray,
    ) -> tuple[Peaks, float]:
        """Run the schedule of steps, and read the peaks where it ends.

        The number returned with them is the mean cost of a difference of one pixel.

        Images have ``_inset`` pixels more on each side than `clean` and the
        result; see :func:`xsubpix.estimators.ncc.correlation_volume`.
        """
        weights = kernels.ncc.sinc_kernels()

        def correlate(unit: int, radius: int, cx: np.ndarray, cy: np.ndarray) -> np.ndarray:
            return kernels.ncc.correlation_volume(
                first,
                first_ok,
                second,
                second_ok,
                second_mean,
                clean,
                self._inset,
                self.window,
                unit,
                radius,
                cx,
                cy,
                weights,
            )

        centre_x = np.zeros(clean.shape, np.int32)
        centre_y = np.zeros(clean.shape, np.int32)
        radius, previous, stiffness = self._first_radius, _STEPS[0], 1.0
        for unit, weight in zip(_STEPS, _WEIGHTS[self.schedule], strict=True):
            centre_x *= previous // unit
            centre_y *= previous // unit
            volume = correlate(unit, radius, centre_x, centre_y)
            if self.schedule == "robust" and previous == unit:
                stiffness = _stiffness(volume)
            total = kernels.sgm.aggregate(
                _cost(volume, self.gamma),
                centre_x,
                centre_y,
                directions=self.directions,
                weight=stiffness * self.regularisation * weight * unit / _UNITS,
                steepest=max(1, int(_STEEPEST[self.schedule] * _UNITS / unit)),
                most=stiffness * _MOST[self.schedule],
                azimuth=self.azimuth,
                anisotropy=_ANISOTROPY,
            )
            shift_x, shift_y = kernels.sgm.best_candidate(total)
            centre_x += shift_x
            centre_y += shift_y
            radius, previous = _RADIUS, unit
        found = kernels.peaks.read_peaks(correlate, centre_x, centre_y, _LEAST_CORRELATION)
        mean = sum(_WEIGHTS[self.schedule]) / len(_STEPS)
        return found, stiffness * self.regularisation * mean


def _cost(volume: np.ndarray, gamma: float) -> np.ndarray:
    """Matching cost 0..1 of a correlation: ``((1 - max(c, c0)) / (1 - c0))^gamma``."""
    cost = np.maximum(volume, np.float32(_LEAST_CORRELATION))
    np.subtract(np.float32(1.0), cost, out=cost)
    cost /= np.float32(1.0 - _LEAST_CORRELATION)
    if gamma != 1.0:
        np.power(cost, np.float32(gamma), out=cost)
    return cost


def _stiffness(volume: np.ndarray) -> float:
    """Factor on the regularisation that the noise of a tile calls for.

    The median correlation of the windows at their best candidate, chosen over 15 px and at
    the vertex of parabolas, since clean pairs too may lie half a step off the candidates.
    """
    entries = volume.shape[1]
    across = math.isqrt(entries)
    smooth = ndimage.uniform_filter(np.maximum(volume, 0.0), (15, 1, 15))[::4, :, ::4]
    peaks = smooth.transpose(0, 2, 1).reshape(-1, across, across)
    best = peaks.reshape(-1, entries).argmax(axis=1)
    y, x = (np.clip(i, 1, across - 2) for i in np.divmod(best, across))
    at = np.arange(len(peaks))
    top = height = peaks[at, y, x]
    for j, i in ((1, 0), (0, 1)):
        up, down = peaks[at, y + j, x + i], peaks[at, y - j, x - i]
        height = height + vertex_height(down, top, up)
    return float(np.clip((_CLEAN - np.median(height)) / _NOISY, _SOFTEST, _STIFFEST))


def _complete(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Low-passed image of order 1 without missing pixels, and where it had data.

    Missing pixels get a smooth continuation: they never enter a correlation,
    only the tails of the filter and of the interpolation meet them.
    """
    valid = np.isfinite(image)
    if not valid.any():
        return np.zeros(image.shape, np.float32), valid
    known = image[valid].astype(np.float64)
    spread = known.std()
    scaled = np.where(valid, image, 0.0).astype(np.float64) - known.mean() * valid
    if spread > 0:
        scaled /= spread
    scaled = fill_smooth(scaled, valid, 2.0)
    for axis in (0, 1):
        scaled = ndimage.correlate1d(scaled, _LOW_PASS, axis, mode="nearest")
    return scaled.astype(np.float32), valid


class _Kernels(NamedTuple):
    """The modules that need numba."""

    ncc: ModuleType
    sgm: ModuleType
    peaks: ModuleType


def _kernels() -> _Kernels:
    """The compiled kernels, or an error that says what to install."""
    try:
        from . import ncc, peaks, sgm
    except ImportError as error:
        raise ModelError(
            "model 'micmac' needs numba, which cannot be imported "
            f"({error}): pip install 'xsubpix[micmac]'"
        ) from error
    return _Kernels(ncc, sgm, peaks)
