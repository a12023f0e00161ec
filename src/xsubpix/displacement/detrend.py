"""Trends: what misregistration, attitude and terrain models leave over a whole scene."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..checks import whole_number
from ..errors import DataError
from ..field_stack import over_stack
from ..grid import Plane
from ..kernels.robust import huber_fit, polynomial_terms
from .field import Field, whole
from .flagged import left_out, sure_field
from .stable import buffer_in_metres, stable_ground
from .steps import Steps, depth_of_slip, likeliest, steps_beside, with_depths
from .traces import read_trace

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["detrend"]

#: About how many pixels a surface is fitted to: more add nothing but time.
_SAMPLES = 200_000


@over_stack
def detrend(
    disp: xr.Dataset,
    order: int = 1,
    *,
    mask: xr.DataArray | None = None,
    trace: Any = None,
    buffer: float | None = None,
    depth: float | None = None,
    keep_unsure: bool = False,
) -> xr.Dataset:
    """Subtract a polynomial surface that is fitted to stable ground.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north``. Stacks along ``pair`` or ``time`` are taken field by field.
    order : int
        Order of the polynomial in x and y: 0 a constant, 1 a plane, 2 a quadratic
        surface.
    mask : xarray.DataArray of bool, optional
        True on stable ground, to which alone the surface is fitted.
    trace : trace, optional
        Trace of the fault, as :func:`xsubpix.read_trace` takes it. The motion of its two sides
        (:class:`~xsubpix.displacement.steps.Steps`) is fitted together with the surface,
        and stays in the field.
    buffer : float, optional
        Ground nearer to the trace than this, metres, is left out of the fit.
    depth : float, optional
        Depth to which the fault slipped, metres: the two sides move by an arctangent of the
        distance. None: it is fitted too, from a twentieth to twice the field's length; where
        none fits clearly better, the sides move by one constant each.
    keep_unsure : bool
        Fit to values flagged as unsure too, see :func:`xsubpix.mask`;
        by default they are left out, and the attribute says how many.

    Returns
    -------
    xarray.Dataset
        `disp` with the surfaces subtracted from ``east`` and ``north``; everything else is
        unchanged. Lazy if `disp` is. The attribute ``detrend`` says what was done; for an
        eager field also the RMS over stable ground before and after, and
        ``detrend_surface`` holds the surfaces as JSON: coefficients of the monomials
        ``terms`` in ((x - centre) / scale), x in metres along the CRS (degrees
        turned into metres about the grid's centre).

    Raises
    ------
    DataError
        There is no stable ground, or `disp` is not a displacement field.
    DimensionError, GridError
        The field is on no usable grid, or the mask on another.
    ModelError
        `order` is not 0, 1 or 2; a buffer or a depth without a trace.

    Notes
    -----
    Huber's loss by iteratively reweighted least squares, on a regular sample of
    some 200,000 pixels at most: outliers do not move the surface. Deformation that
    covers a good part of the scene does: give the `trace`, so that the motion of its
    sides is not taken for a trend, or leave it out by `mask`. The fit of a lazy field needs the
    whole field before its first block can be computed; dask keeps the blocks until then, or
    ``persist`` them first.

    References
    ----------
    Huber, P. J. (1964). Robust estimation of a location parameter. Annals of
    Mathematical Statistics 35, 73-101.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> y, x = np.mgrid[:20, :30].astype("f4")
    >>> disp = xr.Dataset({"east": (("y", "x"), 3 + 0.1 * x), "north": (("y", "x"), -y)})
    >>> flat = xsubpix.detrend(disp)
    >>> bool(abs(flat.to_array()).max() < 1e-4)
    True
    """
    field = Field.of(disp)
    order = whole_number("order", order, 0, 2)
    buffer, depth = buffer_in_metres(buffer, trace), depth_of_slip(depth, trace)
    # Once: of a file, every reading costs as much as the fit.
    line = None if trace is None else read_trace(trace, field.grid)
    stable = stable_ground(field, mask, line, buffer)
    steps = steps_beside(field, line, depth)
    models: tuple[Steps, ...] | None = None if steps is None else (steps,)
    if steps is not None and line is not None and depth is None:
        models = with_depths(field, line, steps)
    sure, share = sure_field(field, keep_unsure)
    rows, cols = field.grid.shape
    every = max(1, round(np.sqrt(rows * cols / _SAMPLES)))
    basis = _Basis.of(field.plane, field.grid.shape, order)
    arrays = {name: field.array(name) for name in ("east", "north")}
    thin = [sure.array(name)[::every, ::every] for name in arrays]
    thin.append(np.ones(thin[0].shape, bool) if stable is None else stable[::every, ::every])
    surfaces: Sequence[Any]
    lazy = field.lazy or any(hasattr(a, "dask") for a in thin)
    if not lazy:
        coefficients, chosen = _fitted(basis, every, models, *thin)
        motion = None if chosen is None else chosen.words
        surfaces = field.map(_Surface(basis, coefficients), ["east"], 2)
    else:
        surfaces = _lazy_surfaces(field, basis, every, models, thin)
        motion = None
        if steps is not None:
            motion = steps.words if depth is not None else "to a depth that is fitted"
    attrs: dict[str, Any] = {"detrend": _words(order, mask, buffer, motion)}
    out = {k: a - s for (k, a), s in zip(arrays.items(), surfaces, strict=True)}
    if not lazy:
        where = np.isfinite(sure.array("east"))
        where = where if stable is None else where & stable
        before, after = ({k: a[where] for k, a in part.items()} for part in (arrays, out))
        attrs["detrend"] += field.removed(before, after)
        attrs["detrend_surface"] = json.dumps(basis.describe(coefficients))
    attrs |= {f"detrend_{k}": text for k, text in left_out(disp, share).items()}
    return field.replaced(out, attrs)


def _words(order: int, mask: Any, buffer: float | None, motion: str | None) -> str:
    where = [] if mask is None else ["a mask of stable ground"]
    where += [] if buffer is None else [f"what is farther than {buffer:g} from a trace"]
    beside = ""
    if motion is not None:
        beside = f", beside the motion of a trace's two sides ({motion})"
    text = f"polynomial of order {order}{beside}"
    return f"{text}, Huber fit to {' and '.join(where) or 'all pixels'}"


@dataclasses.dataclass(frozen=True)
class _Basis:
    """Monomials in plane coordinates, centred and scaled to about -1 to 1."""

    plane: Plane
    order: int
    centre: tuple[float, float]
    scale: float

    @classmethod
    def of(cls, plane: Plane, shape: tuple[int, int], order: int) -> _Basis:
        rows, cols = shape
        x, y = plane.at(np.array((rows - 1) / 2), np.array((cols - 1) / 2))
        return cls(plane, order, (float(x), float(y)), plane.pixel * max(rows, cols) / 2)

    @property
    def terms(self) -> list[tuple[int, int]]:
        """Powers of x and y of each term."""
        return [(i, n - i) for n in range(self.order + 1) for i in range(n, -1, -1)]

    def __call__(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Terms at pixels, shape (terms, rows, cols)."""
        x, y = self.plane.at(rows[:, None], cols[None, :])
        u, v = (x - self.centre[0]) / self.scale, (y - self.centre[1]) / self.scale
        return polynomial_terms(u, v, self.order)

    def describe(self, coefficients: np.ndarray) -> dict[str, Any]:
        """Coefficients and scales that the surfaces can be computed from again."""
        names = ["*".join(["x"] * i + ["y"] * j) or "1" for i, j in self.terms]
        east, north = coefficients.tolist()
        return {
            "terms": names, "centre": list(self.centre), "scale": self.scale,
            "east": east, "north": north,
        }  # fmt: skip


def _fit(
    basis: _Basis, every: int, models: tuple[Steps, ...] | None, *arrays: np.ndarray
) -> np.ndarray:
    """Coefficients of both components, shape (2, terms)."""
    return _fitted(basis, every, models, *arrays)[0]


def _fitted(
    basis: _Basis,
    every: int,
    models: tuple[Steps, ...] | None,
    east: np.ndarray,
    north: np.ndarray,
    stable: np.ndarray,
) -> tuple[np.ndarray, Steps | None]:
    """Coefficients of both components, and the model of the two sides that was chosen."""
    rows, cols = every * np.arange(east.shape[0]), every * np.arange(east.shape[1])
    terms = basis(rows, cols)
    good = np.asarray(stable, bool) & np.isfinite(east) & np.isfinite(north)
    design = terms[:, good].T
    if len(design) < 3 * design.shape[1]:
        raise DataError(
            f"disp has {len(design)} valid values on stable ground, too few to fit "
            f"{design.shape[1]} coefficients to. Take a lower order, a smaller buffer or a wider "
            "mask."
        )
    values = np.stack([c[good].astype(float) for c in (east, north)])
    if models is not None:
        x, y = basis.plane.at(*(every * i for i in np.nonzero(good)))
        steps = likeliest(models, x, y, design.T, values)
        thin = slice(None, None, max(1, x.size // steps.samples))
        shapes = steps.shapes(x[thin], y[thin])
        return steps.fit(shapes, design[thin].T, values[:, thin])[0], steps
    return np.stack([huber_fit(design, c).coefficients for c in values]), None


@dataclasses.dataclass(frozen=True, eq=False)
class _Surface:
    basis: _Basis
    coefficients: np.ndarray

    def __call__(
        self, blocks: list[np.ndarray], rows: np.ndarray, cols: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        surfaces = np.tensordot(self.coefficients, self.basis(rows, cols), 1)
        return tuple(surfaces.astype(np.float32))


def _lazy_surfaces(
    field: Field, basis: _Basis, every: int, models: tuple[Steps, ...] | None, thin: list[Any]
) -> list[Any]:
    """Surfaces whose coefficients are one task, fitted when first asked for."""
    import dask.array as da

    shape = (2, len(basis.terms))
    coefficients = whole(functools.partial(_fit, basis, every, models), thin, shape)
    return [
        da.map_blocks(
            functools.partial(_surface_block, basis, k), da.asarray(field.array(name)),
            coefficients, dtype=np.float32, meta=np.empty((0, 0), np.float32),
        )
        for k, name in enumerate(("east", "north"))
    ]  # fmt: skip


def _surface_block(
    basis: _Basis, k: int, like: np.ndarray, coefficients: np.ndarray, block_info: Any = None
) -> np.ndarray:
    """The surface of one component under one block of it."""
    rows, cols = block_info[0]["array-location"]
    return _Surface(basis, coefficients)([], np.arange(*rows), np.arange(*cols))[k]
