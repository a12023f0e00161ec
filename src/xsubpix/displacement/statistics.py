"""Statistics of stable ground: median, scatter, variogram, and errors of means over areas."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import xarray as xr

from ..checks import real_number
from ..errors import DataError, ModelError
from ..kernels.robust import nmad
from ..kernels.variogram import Variogram, empirical_variogram, fit_variogram
from .field import Field
from .flagged import left_out, sure_field, unsure_share
from .stable import buffer_in_metres, stable_ground

__all__ = ["Statistics", "statistics"]

# Rings of distance, from one pixel to half the shorter side.
_RINGS = 16
# Pairs of points that the mean covariance over an area is taken from.
_POINTS = 20_000


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Statistics of a field on stable ground; prints itself.

    Attributes
    ----------
    table : dict of dict
        For each component: ``median``, ``nmad``, ``rms``, ``nugget``, ``sill`` (standard
        deviations of what is not correlated and of what is, unit of the field) and
        ``range`` (distance at which 95 % of the sill is reached, metres).
    flagged : float
        Share of the values that are flagged as unsure, of all that there are.
    count : int
        Values on stable ground that were used.
    variogram : xarray.Dataset
        Empirical variogram along ``lag``: ``distance`` (metres), and of each component
        ``gamma`` and the model's value ``fitted``, and ``pairs``.
    models : dict of Variogram
        Fitted ones, by component; distances in metres.
    unit : str
        Of the field.
    pixel : float
        Side of a pixel, metres.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> pixel = {"y": -30.0 * np.arange(64), "x": 30.0 * np.arange(64)}
    >>> noise = (("y", "x"), np.random.default_rng(0).normal(0.0, 0.1, (64, 64)))
    >>> found = xsubpix.statistics(xr.Dataset({"east": noise, "north": noise}, pixel))
    >>> round(found.table["east"]["nmad"], 1)
    0.1
    """

    table: dict[str, dict[str, float]]
    flagged: float
    count: int
    variogram: xr.Dataset
    models: dict[str, Variogram]
    unit: str
    pixel: float

    def mean_error(self, area: float) -> dict[str, float]:
        r"""One-sigma error of the mean over a square of an area, by component.

        .. math:: \sigma^2 = \frac{1}{A^2} \iint C(|x - x'|) \, dx \, dx' + \frac{n}{N}

        with C the fitted covariance, n the nugget and N the pixels in the area.

        Parameters
        ----------
        area : float
            Square metres, one pixel or more.
        """
        area = real_number("area", area, 0.0, above=True)
        pixels = max(1.0, area / self.pixel**2)
        rng = np.random.default_rng(0)
        one, two = rng.uniform(0, math.sqrt(area), (2, _POINTS, 2))
        apart = np.hypot(*(one - two).T)
        return {
            name: math.sqrt(float(model.covariance(apart).mean()) + model.nugget / pixels)
            for name, model in self.models.items()
        }

    def __repr__(self) -> str:
        columns = list(next(iter(self.table.values())))
        lines = [f"Statistics of {self.count} values on stable ground ({self.unit})"]
        lines.append(f"  {'':<6}" + "".join(f"{c:>10}" for c in columns))
        for name, row in self.table.items():
            lines.append(f"  {name:<6}" + "".join(f"{row[c]:>10.4g}" for c in columns))
        lines.append(f"  flagged as unsure: {self.flagged:.1%}")
        for side in (10, 100):
            errors = self.mean_error((side * self.pixel) ** 2)
            listed = ", ".join(f"{name} {error:.3g}" for name, error in errors.items())
            lines.append(f"  error of the mean over {side} x {side} pixels: {listed}")
        return "\n".join(lines)


def statistics(
    disp: xr.Dataset,
    *,
    stable: xr.DataArray | None = None,
    trace: Any = None,
    buffer: float | None = None,
    keep_unsure: bool = False,
    seed: int = 0,
) -> Statistics:
    """Describe a field on ground that did not move.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north``; a lazy field is computed.
    stable : xarray.DataArray of bool, optional
        True on stable ground.
    trace : trace, optional
        Trace of the fault, as :func:`xsubpix.read_trace` takes it.
    buffer : float, optional
        Ground nearer to the trace than this, metres, is not stable.
    keep_unsure : bool
        Use values flagged as unsure too.
    seed : int
        Seed of the random pairs of values from which the variogram is made.

    Returns
    -------
    Statistics

    Raises
    ------
    DataError
        There are too few values on stable ground, or `disp` is not a displacement field.
    DimensionError, GridError
        The field is on no usable grid, or the mask on another.
    ModelError
        A buffer without a trace, or the reverse.

    Notes
    -----
    The variogram is Dowd's robust one of random pairs in sixteen rings of distance, up to
    half of the shorter side; the model is the better of an exponential and a Gaussian one, with
    a nugget. A slope of the field is part of it: detrend first. scikit-gstat (MIT) gives the same
    within the difference of two random samples (tested where it is installed). It is not
    used here, because it takes all pairs of its points, a few thousand at most, and would
    bring scikit-learn, numba and pandas for one curve.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> noise = np.random.default_rng(0).normal(0, 0.3, (2, 60, 80))
    >>> disp = xr.Dataset({n: (("y", "x"), a) for n, a in zip(("east", "north"), noise)})
    >>> round(xsubpix.statistics(disp).table["east"]["nmad"], 1)
    0.3
    """
    if (trace is None) != (buffer is None):
        raise ModelError("trace and buffer belong together: stable ground is what is beyond both.")
    field = Field.of(disp).loaded()
    ground = stable_ground(field, stable, trace, buffer_in_metres(buffer, trace))
    sure, share = sure_field(field, keep_unsure)
    arrays = {name: np.asarray(sure.array(name), float) for name in sure.components}
    good = np.isfinite(arrays["east"]) & np.isfinite(arrays["north"])
    if ground is not None:
        good &= np.asarray(ground)
    if good.sum() < 100:
        said = "".join(f" Left out: {text}." for text in left_out(disp, share).values())
        raise DataError(
            f"disp has {int(good.sum())} values on stable ground, too few for statistics; 100 are "
            f"needed. Take a wider mask or a smaller buffer.{said}"
        )
    pixel = field.plane.pixel
    rows, cols = np.nonzero(good)
    edges = np.geomspace(1.0, max(4.0, min(good.shape) / 2), _RINGS + 1)
    table, models, variables = {}, {}, {}
    distance = count = np.zeros(0)
    for name, values in arrays.items():
        v = values[good]
        distance, gamma, count = empirical_variogram(rows, cols, v, edges, seed=seed)
        model = fit_variogram(distance * pixel, gamma, count)
        models[name] = model
        table[name] = {
            "median": float(np.median(v)), "nmad": nmad(v), "rms": float(np.sqrt(np.mean(v**2))),
            "nugget": math.sqrt(max(model.nugget, 0)), "sill": math.sqrt(max(model.sill, 0)),
            "range": model.reach,
        }  # fmt: skip
        variables[f"{name}_gamma"] = ("lag", gamma)
        variables[f"{name}_fitted"] = ("lag", model(distance * pixel))
    coords = {"distance": ("lag", distance * pixel, {"units": field.grid.units})}
    variogram = xr.Dataset({**variables, "pairs": ("lag", count)}, coords)
    flagged = unsure_share(field.disp)
    return Statistics(table, flagged, int(good.sum()), variogram, models, field.unit, pixel)
