"""OpenCV's dense optical flow behind the estimator contract.

Three methods that most people who want a dense field can install, and that
every method of this package is measured against. OpenCV is imported when one
of them runs, not with the package: ``pip install 'xsubpix[opencv]'``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import threading
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..checks import whole_number
from ..errors import ModelError
from ..kernels.local_correlation import LocalMean, box_mean
from ..kernels.smooth_fill import fill_smooth
from .base import Estimate, Estimator, Flag
from .dense import core_of_block, sample_blocks

__all__ = ["DIS", "TVL1", "DeepFlow"]

# Percentiles of each image that become grey levels 0 and 255.
_DARKEST, _BRIGHTEST = 0.5, 99.5
# Smallest image given to OpenCV, pixels a side: room for its pyramids.
_SMALLEST = 64
# Windows with less variance, in grey levels squared, have no texture: rounding
# to eight bits alone leaves 1/12.
_FAINTEST = 0.25
# Eight bits and interpolation leave a residual, if nothing else does; share of the variance.
_LEAST_RESIDUAL = 1e-3
# Uncertainty where the images tell nothing, pixels.
_LOOSEST = 2.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpticalFlow(Estimator):
    """Base of the OpenCV estimators.

    The flow runs at full resolution on eight-bit images: the 0.5 and 99.5
    percentiles of each tile, per image, become 0 and 255, so that a linear
    change of radiometry between the dates drops out. OpenCV's flow leads from
    a pixel of the first image to its place in the second: the sign of this
    package. Missing pixels are filled in both images by a smooth continuation
    beforehand, and results are NaN, flagged ``nodata``, where fewer than half
    of the pixels in the window around them are valid in both images.

    `quality` is the correlation, in the window, of `pre` with `post` resampled
    along the flow, not below 0. `sigma` is that of a match of the window alone,
    from what is left between the two (Cramer-Rao: ``2 (1 - quality) / n`` over the
    structure matrix of the gradients that both share, n pixels), times the share
    that the smoothness of each method leaves of it, and not below what 8 bits and
    smoothness cost on clean images: two numbers a method, calibrated on real images
    moved by ruptures of 1 px, farther than 16 px from the trace, with white noise.
    The error within some pixels of a fault is not in it. Noise alone is: what the flow makes
    of ground that changed between the dates is several times larger. So `sigma` is not below
    what the images and the surroundings say of each value
    (:func:`~xsubpix.estimators.image_sigma.sigma_from_images`); on two real dates, two years
    apart, one sigma of ``dis`` then covers 58 % of the errors, and two sigma 94 % (24 % and
    58 % without).

    Variational flow hangs together over the whole tile, so that neighbouring
    tiles differ slightly where they meet; ``benchmarks/bench_micmac.py
    --seams`` prints by how much. The same lattice gives the same numbers, with
    any number of threads: OpenCV's own threading is off during a call.

    Parameters
    ----------
    step : int, optional
        Distance of neighbouring outputs, input pixels, 1 by default: an odd step takes the
        block's middle pixel, an even one the mean of its four middle pixels.
    device : str
        ``"auto"`` or ``"cpu"``.
    window : int
        Side of the window of `quality` and of the rule for missing data,
        pixels, odd, 3 to 65. The flow itself has no window.

    Notes
    -----
    There is no parameter `search`: OpenCV's pyramids reach some pixels. With
    ``correlate(search=...)`` above 4 px, the flow gets a first guess, see
    :class:`~xsubpix.estimators.pyramid.CoarseToFine`.

    Examples
    --------
    >>> from xsubpix.estimators.opencv import DIS, OpticalFlow
    >>> issubclass(DIS, OpticalFlow)
    True
    """

    window: int = 9

    #: See :attr:`blur` and :attr:`error_length`, pixels.
    _blur: ClassVar[float]
    _error_length: ClassVar[float]
    #: Calibration of `sigma`: its share of one window's bound, and its least, pixels.
    _share: ClassVar[float]
    _least: ClassVar[float]
    # Its own is that of noise; changed ground is not in it.
    least_sigma: ClassVar[str] = "everywhere"
    #: Context on each side, pixels, from the differences measured at seams.
    _context: ClassVar[int] = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.device not in {"auto", "cpu"}:
            raise ModelError(
                f"device={self.device!r}: model {self.name!r} runs on the CPU; "
                "give device='auto' or 'cpu'."
            )
        window = whole_number("window", self.window, 3, 65)
        if window % 2 == 0:
            raise ModelError(f"window={window}: give an odd number of pixels, 3 to 65.")
        object.__setattr__(self, "window", window)
        if importlib.util.find_spec("cv2") is None:
            raise ModelError(
                f"model {self.name!r} needs OpenCV, which is not installed: "
                "pip install 'xsubpix[opencv]'"
            )

    @property
    def halo(self) -> int:
        """Context that one output needs on each side of its block, pixels."""
        return self._context + self.window // 2

    @property
    def support(self) -> int:
        """Half the window, pixels."""
        return self.window // 2

    @property
    def blur(self) -> float:
        """Distance from a fault beyond which the error is below 3 % of its offset, pixels.

        Measured on two Landsat-7 chips that were moved by 1 px along a straight fault,
        with white noise to a pair correlation of 0.9: the mean error along the fault.
        """
        return self._blur

    @property
    def likeness_reach(self) -> float:
        """Distance over which results depend on each other, pixels: the blur."""
        return self.blur

    @property
    def error_length(self) -> float:
        """Side of the square over which errors are about the same, pixels.

        Measured on a real pair of Landsat-5 images of stable ground, two years apart,
        less a quadratic surface (the same measurement gives half a window, 15.3 and
        8.1 px, for ``"phase"`` with windows of 32 and 16 px).
        """
        return self._error_length

    @property
    def own_search(self) -> int:
        """Four pixels: more is safer with a first guess than on OpenCV's own pyramids."""
        return 4

    @property
    def tile(self) -> int:
        """Outputs a tile side: 256 input pixels."""
        return max(1, 256 // self.step)

    def __call__(self, pre: np.ndarray, post: np.ndarray) -> Estimate:
        """Flow between two batches of tiles; see :meth:`Estimator.__call__`."""
        cv2 = _import_cv2(self.name)
        cut, step = core_of_block(self.step, self.tile)
        inside = slice(cut, pre.shape[1] - cut)
        pairs = zip(pre[:, inside, inside], post[:, inside, inside], strict=True)
        with _single_thread(cv2):
            fields = [self._flow(cv2, one, two) for one, two in pairs]
        return sample_blocks(fields, self.halo, step, self.outputs)

    @abstractmethod
    def _algorithm(self, cv2: Any) -> Any:
        """A new OpenCV object with a method ``calc(first, second, None)``."""

    def _flow(self, cv2: Any, pre: np.ndarray, post: np.ndarray) -> Estimate:
        valid = np.isfinite(pre) & np.isfinite(post)
        enough = box_mean(valid, self.window) >= 0.5
        field = Estimate.missing(valid.shape, self.outputs)
        if not enough.any():
            return field
        # Only the part with data: at the border of an image much of a tile is empty.
        box = tuple(
            _at_least(np.flatnonzero(valid.any(axis=1 - k)), n) for k, n in enumerate(valid.shape)
        )
        first, second = (_eight_bits(image[box], valid[box]) for image in (pre, post))
        flow = self._algorithm(cv2).calc(first, second, None)
        dx, dy = (np.array(flow[..., k], np.float32) for k in (0, 1))
        match = self._match(cv2, first, second, dx, dy, valid[box])
        flags = np.where(match.textured, np.uint8(0), Flag.LOW_TEXTURE).astype(np.uint8)
        flags[~enough[box]] = Flag.NODATA
        for values in (dx, dy, match.sigma):
            values[~match.textured] = np.nan
        field.put(box, Estimate(dx, dy, match.sigma, match.quality, flags))
        return field

    def _match(
        self,
        cv2: Any,
        first: np.ndarray,
        second: np.ndarray,
        dx: np.ndarray,
        dy: np.ndarray,
        valid: np.ndarray,
    ) -> _Match:
        """Agreement of `first` with `second`, moved back by the flow, around each pixel."""
        rows, cols = np.indices(dx.shape, dtype=np.float32)
        moved = cv2.remap(
            second.astype(np.float32),
            cols + dx,
            rows + dy,
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        a, b = first.astype(np.float64) - 128.0, moved.astype(np.float64) - 128.0
        mean = LocalMean(valid, self.window)
        var_a, var_b, covariance = mean.moments(a, b)
        textured = (var_a > _FAINTEST) & (var_b > _FAINTEST)
        scale = np.sqrt(np.where(textured, var_a * var_b, 1.0))
        quality = np.where(textured, np.clip(covariance / scale, 0.0, 1.0), 0.0).astype(np.float32)
        # Gradients that both images have: the square of one image's counts noise as contrast.
        (ay, ax), (by, bx) = np.gradient(a), np.gradient(b)
        pixels = mean.share * self.window**2
        pixels = pixels / (2.0 * np.maximum(1.0 - quality, _LEAST_RESIDUAL)) / scale
        yy, xx = pixels * mean(ay * by), pixels * mean(ax * bx)
        yx = pixels * mean(ay * bx + ax * by) / 2
        sigma = np.hypot(self._share * _sigma(yy, yx, xx), self._least)
        return _Match(quality, sigma.astype(np.float32), textured)


class _Match(NamedTuple):
    quality: np.ndarray
    sigma: np.ndarray  # pixels
    textured: np.ndarray  # where there is contrast


def _sigma(yy: np.ndarray, yx: np.ndarray, xx: np.ndarray) -> np.ndarray:
    """Root mean variance of both components, from the matrices of what is known of them."""
    least = 1.0 / _LOOSEST**2
    mean, half = (yy + xx) / 2, np.hypot((yy - xx) / 2, yx)
    low, high = (np.maximum(e, 0.0) + least for e in (mean - half, mean + half))
    return np.sqrt((1.0 / low + 1.0 / high) / 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepFlow(OpticalFlow):
    """DeepFlow without matching (Weinzaepfel et al. 2013, as in OpenCV's contrib).

    Brightness and gradient constancy with a robust smoothness term, solved
    coarse to fine. See :class:`OpticalFlow` for the parameters, and for what
    `quality` and missing data mean.

    One sigma covered 53 % and two sigma 97 % of the errors without noise, 79 % and 99 % at
    pair correlation 0.9, 70 % and 97 % at 0.6 (see :class:`OpticalFlow`).

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> from xsubpix.estimators.opencv import DeepFlow
    >>> ground = np.random.default_rng(0).normal(size=(96, 96)).cumsum(0).cumsum(1)
    >>> pre, post = (xr.DataArray(g, dims=("y", "x")) for g in (ground[:, 1:], ground[:, :-1]))
    >>> disp = xsubpix.correlate(pre, post, model=DeepFlow(step=8))  # needs OpenCV: deepflow
    >>> round(float(disp.east[5, 5]), 1)  # moved one pixel right
    1.0
    """

    name: ClassVar[str] = "deepflow"
    _blur: ClassVar[float] = 10.0
    _error_length: ClassVar[float] = 57.0
    _share: ClassVar[float] = 0.2
    _least: ClassVar[float] = 0.018
    description: ClassVar[str] = "variational optical flow (DeepFlow, OpenCV contrib)"

    def _algorithm(self, cv2: Any) -> Any:
        return cv2.optflow.createOptFlow_DeepFlow()


@dataclasses.dataclass(frozen=True, kw_only=True)
class DIS(OpticalFlow):
    """Dense inverse search, tuned for accuracy (Kroeger et al. 2016, OpenCV).

    Finest scale 0, patches of 12 px every 3 px, 50 iterations of gradient
    descent, 10 of variational refinement. See :class:`OpticalFlow` for the
    parameters, and for what `quality` and missing data mean.

    One sigma covered 52 % and two sigma 100 % of the errors without noise, 81 % and 100 % at
    pair correlation 0.9, 60 % and 95 % at 0.6 (see :class:`OpticalFlow`).

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> from xsubpix.estimators.opencv import DIS
    >>> ground = np.random.default_rng(0).normal(size=(96, 96)).cumsum(0).cumsum(1)
    >>> pre, post = (xr.DataArray(g, dims=("y", "x")) for g in (ground[:, 1:], ground[:, :-1]))
    >>> disp = xsubpix.correlate(pre, post, model=DIS(step=8))  # needs OpenCV: dis
    >>> round(float(disp.east[5, 5]), 1)  # moved one pixel right
    1.0
    """

    name: ClassVar[str] = "dis"
    _blur: ClassVar[float] = 12.0
    _error_length: ClassVar[float] = 21.0
    _share: ClassVar[float] = 0.4
    _least: ClassVar[float] = 0.03
    description: ClassVar[str] = "dense inverse search optical flow (OpenCV)"

    def _algorithm(self, cv2: Any) -> Any:
        method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        method.setFinestScale(0)
        method.setPatchSize(12)
        method.setPatchStride(3)
        method.setGradientDescentIterations(50)
        method.setVariationalRefinementIterations(10)
        return method


@dataclasses.dataclass(frozen=True, kw_only=True)
class TVL1(OpticalFlow):
    """Total-variation flow with a robust data term (Zach et al. 2007, OpenCV's contrib).

    OpenCV's default parameters but for ``lambda`` = 0.02: at its 0.15 the noise
    of a second date passes into the flow. See :class:`OpticalFlow` for the
    parameters, and for what `quality` and missing data mean.

    One sigma covered 70 % and two sigma 94 % of the errors without noise, 72 % and 96 % at
    pair correlation 0.9, 72 % and 95 % at 0.6 (see :class:`OpticalFlow`).

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> from xsubpix.estimators.opencv import TVL1
    >>> ground = np.random.default_rng(0).normal(size=(96, 96)).cumsum(0).cumsum(1)
    >>> pre, post = (xr.DataArray(g, dims=("y", "x")) for g in (ground[:, 1:], ground[:, :-1]))
    >>> disp = xsubpix.correlate(pre, post, model=TVL1(step=8))  # needs OpenCV: tvl1
    >>> round(float(disp.east[5, 5]), 1)  # moved one pixel right
    1.0
    """

    name: ClassVar[str] = "tvl1"
    _blur: ClassVar[float] = 27.0
    _error_length: ClassVar[float] = 45.0
    _share: ClassVar[float] = 0.13
    _least: ClassVar[float] = 0.02
    description: ClassVar[str] = "dual TV-L1 optical flow (OpenCV contrib)"

    def _algorithm(self, cv2: Any) -> Any:
        method = cv2.optflow.DualTVL1OpticalFlow_create()
        method.setLambda(0.02)
        return method


def _at_least(positions: np.ndarray, size: int) -> slice:
    """The extent of `positions`, made wide enough for an image pyramid, within `size`."""
    start, stop = int(positions[0]), int(positions[-1]) + 1
    padding = max(0, min(_SMALLEST, size) - (stop - start))
    start = max(0, min(start - padding // 2, size - (stop - start) - padding))
    return slice(start, max(stop, start + min(_SMALLEST, size)))


def _eight_bits(image: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Image as uint8, its percentiles stretched, without missing pixels."""
    known = image[valid].astype(np.float64)
    low, high = np.percentile(known, (_DARKEST, _BRIGHTEST))
    if not high > low:
        # More than 99 % of the pixels are equal: keep what the others say.
        low, high = known.min(), known.max()
    if not high > low:
        return np.full(image.shape, 128, np.uint8)
    grey = np.where(valid, (image.astype(np.float64) - low) * (255.0 / (high - low)), 0.0)
    grey = np.clip(grey, 0.0, 255.0)
    grey = fill_smooth(grey, valid, 4.0, background=grey[valid].mean())
    return np.rint(grey).astype(np.uint8)


def _import_cv2(model: str) -> Any:
    """OpenCV with its contributed modules, or an error that says what to install."""
    try:
        import cv2
    except ImportError as error:
        raise ModelError(
            f"model {model!r} needs OpenCV, which cannot be imported ({error}): "
            "pip install 'xsubpix[opencv]'"
        ) from error
    if model != "dis" and not hasattr(cv2, "optflow"):
        raise ModelError(
            f"model {model!r} needs OpenCV's contributed modules, and OpenCV "
            f"{cv2.__version__} is installed without them: pip uninstall the other "
            "opencv packages, then pip install 'xsubpix[opencv]'"
        )
    return cv2


_threads_lock = threading.Lock()
_threads_users = 0
_threads_before = 1


@contextlib.contextmanager
def _single_thread(cv2: Any) -> Iterator[None]:
    """Run OpenCV without its own threads, for one or several callers at once.

    Its number of threads is one setting for the process, and DIS cuts its work
    by it, so the first caller in sets it and the last one out restores it.
    """
    global _threads_users, _threads_before
    with _threads_lock:
        if _threads_users == 0:
            _threads_before = cv2.getNumThreads()
            cv2.setNumThreads(1)
        _threads_users += 1
    try:
        yield
    finally:
        with _threads_lock:
            _threads_users -= 1
            if _threads_users == 0:
                cv2.setNumThreads(_threads_before)
