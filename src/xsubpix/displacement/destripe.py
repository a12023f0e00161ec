"""Stripes and seams: what the detectors of a push-broom camera leave in a field."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from typing import Any, Literal

import numpy as np
import xarray as xr

from ..checks import real_number
from ..errors import DataError, ModelError
from ..grid import Plane
from ..kernels.robust import polynomial_terms
from .field import Field, whole
from .flagged import is_unsure, left_out, without_unsure
from .stable import buffer_in_metres, stable_ground
from .steps import Steps, depth_of_slip, steps_beside
from .traces import read_trace

__all__ = ["destripe"]

# Rounds in which stripes and the motion beside a fault are told apart.
_ROUNDS = 4
#: About how many pixels that motion is fitted to.
_SAMPLES = 50_000


def destripe(
    disp: xr.Dataset,
    angle: float | Literal["along", "across"] = "along",
    *,
    wavelength: float | None = None,
    mask: xr.DataArray | None = None,
    trace: Any = None,
    buffer: float | None = None,
    depth: float | None = None,
    keep_unsure: bool = False,
) -> xr.Dataset:
    """Remove stripes: what is constant along a direction.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north``.
    angle : float, "along" or "across"
        Direction of the stripes, degrees clockwise from grid north. ``"along"``: they
        run down the columns, as the seams of detectors do in an image in its own
        geometry; ``"across"``: along the rows, as the jitter of the satellite does. On
        an image resampled to a map, give the angle: that of the satellite's track
        (about 190 to 200 for descending orbits at middle latitudes) or its normal.
    wavelength : float, optional
        Remove only what varies faster than this across the stripes, metres, so that slow
        deformation stays. None: all of the profile except its median.
    mask, trace, buffer, depth, keep_unsure
        As in :func:`xsubpix.detrend`: stable ground, and a fault, the motion of whose
        two sides stays. Without them, deformation is taken for stripes where it looks like
        them, as a fault along the stripes does.

    Returns
    -------
    xarray.Dataset
        `disp` with a profile subtracted from ``east`` and ``north``; everything else is
        unchanged. Lazy if `disp` is, but one task reads a whole component. The attribute
        ``destripe`` says what was done, with the RMS before and after if eager.

    Raises
    ------
    DataError
        There is no stable ground, or `disp` is not a displacement field.
    DimensionError, GridError
        The field is on no usable grid, or the mask on another.
    ModelError
        A parameter is out of bounds.

    Notes
    -----
    The profile is the median of the stable pixels of each strip of one pixel's
    width, as in Leprince et al. (2007) for the CCD arrays of SPOT. A strip with
    fewer than five of them takes the value between its neighbours'.

    References
    ----------
    Leprince, S., Barbot, S., Ayoub, F. & Avouac, J.-P. (2007). Automatic and
    precise orthorectification, coregistration, and subpixel correlation of
    satellite images. IEEE Transactions on Geoscience and Remote Sensing 45,
    1529-1558.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> pixel = {"y": -30.0 * np.arange(40), "x": 30.0 * np.arange(60)}
    >>> stripes = np.broadcast_to([0.0, 0.3, 0.0] * 20, (40, 60))
    >>> disp = xr.Dataset({name: (("y", "x"), stripes) for name in ("east", "north")}, pixel)
    >>> bool((abs(xsubpix.destripe(disp, "along").east) < 1e-6).all())
    True
    """
    field = Field.of(disp)
    strips = _Strips.of(field.plane, field.grid.shape, angle)
    width = None if wavelength is None else real_number("wavelength", wavelength, 0.0, above=True)
    buffer, depth = buffer_in_metres(buffer, trace), depth_of_slip(depth, trace)
    line = None if trace is None else read_trace(trace, field.grid)
    stable = stable_ground(field, mask, line, buffer)
    steps = steps_beside(field, line, depth)
    arrays = {name: field.array(name) for name in ("east", "north")}
    unsure = None if keep_unsure else is_unsure(disp)
    if unsure is not None:
        sure = ~unsure.transpose(*field.grid.dims).data
        stable = sure if stable is None else stable & sure
    lazy = field.lazy or hasattr(stable, "dask")
    model = _step_model(strips, width, steps, arrays, stable, lazy)
    out: dict[str, Any] = {}
    for k, (name, array) in enumerate(arrays.items()):
        seen = [array, *([] if model is None else [model[k]])]
        seen += [] if stable is None else [stable]
        clean = functools.partial(_cleaned, strips, width, model is not None)
        if lazy:
            lean = whole(clean, seen, array.shape)
            out[name] = lean.rechunk(getattr(array, "chunks", "auto"))
        else:
            out[name] = clean(*seen)
    text = f"median of strips toward {strips.degrees:.4g} degrees from grid north"
    if width is not None:
        text += f", variations faster than {width:g} {field.unit}"
    if steps is not None:
        text += f", beside the motion of a trace's two sides ({steps.words})"
    if not lazy:
        where = slice(None) if stable is None else np.asarray(stable)
        before, after = ({k: a[where] for k, a in part.items()} for part in (arrays, out))
        text += field.removed(before, after)
    share = without_unsure(disp, keep_unsure, ["east"])[1]
    attrs = {f"destripe_{k}": words for k, words in left_out(disp, share).items()}
    return field.replaced(out, {"destripe": text, **attrs})


@dataclasses.dataclass(frozen=True)
class _Strips:
    """Strips of one pixel's width, numbered across a direction on the plane."""

    plane: Plane
    shape: tuple[int, int]
    degrees: float
    across: tuple[float, float]

    @classmethod
    def of(cls, plane: Plane, shape: tuple[int, int], angle: Any) -> _Strips:
        (a, d), (b, e) = plane.steps
        if angle == "along":
            degrees = math.degrees(math.atan2(b, e))
        elif angle == "across":
            degrees = math.degrees(math.atan2(a, d))
        elif isinstance(angle, str):
            raise ModelError(f"angle={angle!r}: give 'along', 'across' or degrees.")
        else:
            degrees = real_number("angle", angle, -360.0, 360.0)
        turn = math.radians(degrees)
        return cls(plane, shape, degrees % 180.0, (math.cos(turn), -math.sin(turn)))

    def index(self) -> tuple[np.ndarray, np.ndarray]:
        """Fractional strip of every pixel, from 0 on, and the strips' numbers."""
        rows, cols = self.shape
        x, y = self.plane.at(np.arange(rows)[:, None], np.arange(cols)[None, :])
        position = (x * self.across[0] + y * self.across[1]) / self._width()
        position = position - position.min()
        return position, np.arange(int(np.rint(position.max())) + 1)

    def _width(self) -> float:
        """Distance between neighbouring pixels across the strips, metres, at least."""
        return max(abs(u * self.across[0] + v * self.across[1]) for u, v in self.plane.steps)


def _step_model(
    strips: _Strips,
    wavelength: float | None,
    steps: Steps | None,
    arrays: dict[str, Any],
    stable: Any,
    lazy: bool,
) -> Any:
    """Motion of a trace's two sides, shape (2, rows, cols); None without a trace."""
    if steps is None:
        return None
    seen = [*arrays.values(), *([] if stable is None else [stable])]
    fit = functools.partial(_fitted_steps, strips, wavelength, steps)
    return whole(fit, seen, (2, *strips.shape)) if lazy else fit(*seen)


def _fitted_steps(
    strips: _Strips,
    wavelength: float | None,
    steps: Steps,
    east: np.ndarray,
    north: np.ndarray,
    stable: np.ndarray | None = None,
) -> np.ndarray:
    """Motion of a trace's two sides beside a plane, and stripes, told apart in rounds."""
    values = np.stack([east, north]).astype(float)
    valid = np.isfinite(values).all(0)
    valid = valid if stable is None else valid & stable
    at = np.flatnonzero(valid)
    at = at[:: max(1, at.size // min(_SAMPLES, steps.samples))]
    if at.size < 3 * (3 + int(steps.part[-1])):
        raise DataError(
            f"disp has no strip with enough of its {at.size} valid values on stable ground to fit "
            "the motion of a trace's two sides to. Take a smaller buffer or a wider mask."
        )
    rows, cols = np.unravel_index(at, strips.shape)
    x, y = strips.plane.at(rows, cols)
    size = max(strips.shape)
    surfaces = polynomial_terms(rows / size, cols / size, 1)
    shapes, spread = steps.shapes(x, y), steps.on_grid(strips.plane, strips.shape)
    position, numbers = strips.index()
    stripes = np.zeros_like(values)
    model = stripes
    for _ in range(_ROUNDS):
        lean = (values - stripes).reshape(2, -1)[:, at]
        model = spread(steps.fit(shapes, surfaces, lean)[1])
        profiles = [
            _profile(strips, wavelength, v - m, valid, position, numbers)
            for v, m in zip(values, model, strict=True)
        ]
        stripes = np.stack([np.interp(position, numbers, profile) for profile in profiles])
    return model.astype(np.float32)


def _cleaned(
    strips: _Strips,
    wavelength: float | None,
    stepped: bool,
    values: np.ndarray,
    *others: np.ndarray,
) -> np.ndarray:
    """One component without its stripes; others are its steps, if it has any, and a mask."""
    still = values - others[0] if stepped else values
    valid = np.isfinite(values)
    if len(others) > stepped:
        valid = valid & others[-1]
    position, numbers = strips.index()
    profile = _profile(strips, wavelength, still, valid, position, numbers)
    return (values - np.interp(position, numbers, profile)).astype(np.float32)


def _profile(
    strips: _Strips,
    wavelength: float | None,
    values: np.ndarray,
    valid: np.ndarray,
    position: np.ndarray,
    numbers: np.ndarray,
) -> np.ndarray:
    """Median of each strip, less what stays."""
    medians = _medians(np.rint(position[valid]).astype(int), values[valid], numbers.size)
    known = np.isfinite(medians)
    if known.sum() < 2:
        raise DataError(
            "disp has no strip with five valid values on stable ground. Take a smaller buffer or a "
            "wider mask."
        )
    profile = np.interp(numbers, numbers[known], medians[known])
    if wavelength is None:
        profile = profile - np.median(profile[known])
    else:
        from scipy.ndimage import gaussian_filter1d

        # A Gaussian that halves the amplitude of waves of this length.
        deviation = wavelength / strips._width() * math.sqrt(2 * math.log(2)) / (2 * math.pi)
        profile = profile - gaussian_filter1d(profile, deviation, mode="nearest")
    return profile


def _medians(strip: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Median of the values of each strip, NaN where there are fewer than five."""
    order = np.argsort(strip, kind="stable")
    bounds = np.searchsorted(strip[order], np.arange(count + 1))
    ordered = values[order]
    return np.array(
        [np.median(ordered[i:j]) if j - i >= 5 else np.nan for i, j in itertools.pairwise(bounds)]
    )
