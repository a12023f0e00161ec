"""Offsets along a fault: what the two sides' fits say where they meet."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import xarray as xr

from ..checks import real_number, whole_number
from ..errors import DataError, ModelError
from ..kernels.robust import huber_fit
from .field import Field
from .fit_errors import Noise, Sample, estimate_noise
from .flagged import left_out, sure_field
from .traces import Trace, read_trace
from .zone import fit_zone

__all__ = ["offsets"]

# Share of a normal variable within one standard deviation.
_ONE_SIGMA = 0.682689
# Values that each coefficient of a side's fit needs at least.
_PER_COEFFICIENT = 4


def offsets(
    disp: xr.Dataset,
    trace: Any,
    *,
    spacing: float,
    half_length: float,
    width: float | None = None,
    gap: float | None = None,
    order: int = 1,
    confidence: float = 0.95,
    keep_unsure: bool = False,
) -> xr.Dataset:
    r"""Offset of the ground across a fault, along its strike.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east``, ``north``; also ``up`` and ``sigma`` if present.
    trace : trace
        Trace of the fault, as :func:`xsubpix.read_trace` takes it.
    spacing : float
        Distance between stations along the trace, metres.
    half_length : float
        Distance to which the fits reach on either side, metres. Take much less than the
        depth to which the fault slipped: farther off, the field bends away from a line.
    width : float, optional
        Length of trace over which a station gathers values, metres; `spacing` by
        default, so that stations share no values. The strike is averaged over it.
    gap : float, optional
        Ground nearer to the trace than this, metres, is left out of the fit. None: half of
        the correlation window, which blurs the fault (16 pixels of the images where a
        network measured), and at least one and a half pixels.
    order : int
        Order of the polynomial in the distance from the trace on each side: 0, 1 or 2.
    confidence : float
        Confidence level of the intervals, between 0 and 1.
    keep_unsure : bool
        Use values flagged as unsure too, see :func:`xsubpix.mask`;
        by default they are left out, and the attribute ``left_out`` says how many.

    Returns
    -------
    xarray.Dataset
        In memory, along ``station``; coordinates ``distance`` along the trace
        (metres), ``x``, ``y`` (CRS) and ``strike`` (degrees). With c one of
        ``parallel`` (positive right-lateral), ``perpendicular`` (positive where the
        sides move apart) and ``up`` (positive where the side to the right of the trace
        rises):

        ``c``, ``c_sigma``, ``c_low``, ``c_high``
            Offset, its one-sigma error (half the interval of 68.3 %) and its confidence
            interval.
        ``zone_width``
            Distance across the fault within which the middle 80 % of the parallel
            offset lies, metres; NaN where the offset is below three sigma.
        ``off_fault_share``
            Share of the parallel offset that lies farther from the fault than
            half a correlation window (or a pixel).
        ``n_values``
            Number of values in the fit.

        The first two offsets do not depend on the direction in which the trace is drawn.
        Stations without enough values on both sides are NaN.

    Raises
    ------
    DataError
        No station has enough values, or `disp` is not a field, or `trace` not a trace.
    DimensionError, GridError, FileError
        The field is on no usable grid; the trace cannot be read.
    ModelError
        A parameter is out of bounds.

    Notes
    -----
    On each side a polynomial in the distance from the trace, plus a slope along it,
    is fitted under Huber's loss, weighted by 1/sigma**2 where ``sigma`` is there. The
    offset is the difference at the trace. Its error comes from the residuals
    themselves: their correlation in space is pooled over all stations, their size
    is each station's own, and what the fits took up of the noise is added back. So
    neighbouring values that share a correlation window do not count as independent,
    and ground that bends away from the polynomial widens the interval. The quantiles are
    Student's, also those of one sigma, since a station has few independent values: the
    number of values over the area within which noise is correlated, less the number of
    coefficients (JCGM 2008, annex G).

    In noise that is all there is, one sigma holds 67 % of known offsets and the 95 %
    interval 94 %, 62 % and 93 % where it is correlated over 3 pixels; in fields that
    ``"phase"`` measured on changed ground 59 % and 94 %
    (``benchmarks/bench_products.py``): what is correlated over much of `half_length`
    looks like a slope, and residuals do not show it. ``order=0`` held 72 % and 96 %
    there.

    Limits: strain within the gap, and slip that did not reach the ground, count as
    offset as far as they look like one from outside (Milliner et al. 2015 discuss
    both). ``zone_width`` is that of the
    displacement as measured, window included.

    References
    ----------
    JCGM (2008). Evaluation of measurement data: guide to the expression of uncertainty in
    measurement. JCGM 100:2008.

    Milliner, C. W. D., Dolan, J. F., Hollingsworth, J., Leprince, S., Ayoub, F. & Sammis,
    C. G. (2015). Quantifying near-field and off-fault deformation patterns of the 1992
    Mw 7.3 Landers earthquake. Geochemistry, Geophysics, Geosystems 16, 1577-1598.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> pixel = {"y": -30.0 * np.arange(40), "x": 30.0 * np.arange(60)}
    >>> x = np.broadcast_to(pixel["x"], (40, 60))
    >>> step = np.where(x < 900, -1.0, 1.0)  # 2 m across a fault at x = 885, right side north
    >>> disp = xr.Dataset({"east": (("y", "x"), 0 * step), "north": (("y", "x"), step)}, pixel)
    >>> trace = [(885.0, -1170.0), (885.0, 0.0)]
    >>> slip = xsubpix.offsets(disp, trace, spacing=600.0, half_length=450.0)
    >>> slip.parallel.values.round(3)  # left-lateral is negative
    array([-2., -2.])
    """
    field, share = sure_field(Field.of(disp).loaded(), keep_unsure)
    skipped = left_out(field.disp, share)
    pixel = field.plane.pixel
    spacing = real_number("spacing", spacing, 0.0, above=True)
    width = spacing if width is None else real_number("width", width, 0.0, above=True)
    blur = field.blur_pixels * pixel
    gap = max(1.5 * pixel, blur) if gap is None else real_number("gap", gap, 0.0)
    half_length = real_number("half_length", half_length, 0.0, above=True)
    if half_length < gap + 4 * pixel:
        raise ModelError(
            f"half_length={half_length:g} leaves nothing to fit to beyond the gap of {gap:g} "
            f"{field.unit} on pixels of {pixel:g}: give {gap + 10 * pixel:g} or more."
        )
    order = whole_number("order", order, 0, 2)
    level = real_number("confidence", confidence, 0.5, 0.9999)
    line = read_trace(trace, field.grid, smoothing=width)
    count = max(1, round(line.length / spacing))
    at = (np.arange(count) + 0.5) * line.length / count
    swaths = _Swaths.around(field, line, half_length)
    names = ["parallel", "perpendicular", *(["up"] if "up" in disp else [])]
    stations = [swaths.station(s, width, gap, order, names) for s in at]
    if not any(stations):
        raise DataError(
            f"none of {count} stations has enough values on both sides of the trace within "
            f"{half_length:g} {field.unit}. Does the trace cross the field? Take a longer "
            "half_length, a wider width or a smaller gap."
            + "".join(
                f" Left out: {text} (keep_unsure=True keeps them)." for text in skipped.values()
            )
        )
    # Half the offset's blur lies within half a window of the fault, whatever the ground did.
    near = max(pixel, blur)
    values = _measure(stations, names, level, half_length, near)
    return _dataset(field, line, at, values, names, {
        "title": "Offsets along a fault", "half_length": half_length, "width": width, "gap": gap,
        "order": order, "confidence": level, "off_fault_beyond": near, **skipped,
    })  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Station:
    """Values around one station, and the fit of each component."""

    distance: np.ndarray  # signed distance to the right, all values, gap included
    values: dict[str, np.ndarray]
    outside: np.ndarray
    samples: dict[str, Sample]
    coefficients: dict[str, np.ndarray]
    known: np.ndarray  # error of each value, or 1
    beside: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Swaths:
    """All values near a trace, sorted along it."""

    line: Trace
    along: np.ndarray
    right: np.ndarray
    rows: np.ndarray
    cols: np.ndarray
    components: dict[str, np.ndarray]
    sigma: np.ndarray

    @classmethod
    def around(cls, field: Field, line: Trace, reach: float) -> _Swaths:
        at = line.pixels_within(field.plane, field.grid.shape, reach)
        arrays = {name: np.asarray(field.array(name)) for name in field.components}
        at = at[np.isfinite(arrays["east"].flat[at]) & np.isfinite(arrays["north"].flat[at])]
        x, y = field.plane.at(*np.unravel_index(at, field.grid.shape))
        along, right, _ = line.locate(x, y)
        inside = (np.abs(right) <= reach) & (along >= 0) & (along <= line.length)
        at, along, right = at[inside], along[inside], right[inside]
        order = np.argsort(along, kind="stable")
        at = at[order]
        sigma = np.asarray(field.array("sigma")).flat[at].astype(float)
        known = np.isfinite(sigma) & (sigma > 0)
        row, col = np.unravel_index(at, field.grid.shape)
        return cls(
            line, along[order], right[order], row, col,
            {name: a.flat[at].astype(float) for name, a in arrays.items()},
            np.where(known, sigma, np.nan),
        )  # fmt: skip

    def station(
        self, s: float, width: float, gap: float, order: int, names: list[str]
    ) -> _Station | None:
        first, last = np.searchsorted(self.along, [s - width / 2, s + width / 2])
        part = slice(int(first), int(last))
        right, beside = self.right[part], self.along[part] - s
        (east, north) = (self.components[name][part] for name in ("east", "north"))
        _, ((tx, ty),) = self.line.at(np.array([s]))
        values = {"parallel": east * tx + north * ty, "perpendicular": east * ty - north * tx}
        if "up" in names:
            values["up"] = self.components["up"][part]
        sigma = self.sigma[part]
        # All or none: values of unknown error cannot be weighed against others.
        known = sigma if sigma.size and np.isfinite(sigma).all() else np.ones(right.size)
        outside = np.abs(right) >= gap
        sides = [outside & (right > 0), outside & (right < 0)]
        needed = _PER_COEFFICIENT * (order + 2)
        if min(side.sum() for side in sides) < needed:
            return None
        if any(np.ptp(right[side]) < 2 * order * self.line.spacing for side in sides):
            return None
        length = float(np.abs(right).max())
        terms = [(right / length) ** k for k in range(order + 1)] + [2 * beside / width]
        design = np.column_stack([side * term for side in sides for term in terms])[outside]
        samples, coefficients = {}, {}
        for name, all_values in values.items():
            v = all_values[outside]
            good = np.isfinite(v)
            if good.sum() < 2 * needed:
                v, good = np.zeros_like(v), np.ones_like(good)
            error = known[outside][good]
            fit = huber_fit(design[good], v[good], error**-2)
            coefficients[name] = fit.coefficients
            standard = design[good] / error[:, None]
            samples[name] = Sample(
                self.rows[part][outside][good], self.cols[part][outside][good],
                standard, np.linalg.pinv(standard), fit.influence / error,
            )  # fmt: skip
        return _Station(right, values, outside, samples, coefficients, known, beside)


def _measure(
    stations: list[_Station | None], names: list[str], level: float, reach: float, near: float
) -> dict[str, np.ndarray]:
    """Offsets with errors and intervals, zone and counts, a value per station."""
    out: dict[str, np.ndarray] = {
        key: np.full(len(stations), np.nan)
        for name in names
        for key in (name, f"{name}_sigma", f"{name}_low", f"{name}_high")
    }
    for key in ("zone_width", "off_fault_share"):
        out[key] = np.full(len(stations), np.nan)
    out["n_values"] = np.array([0 if s is None else int(s.outside.sum()) for s in stations])
    from scipy.special import stdtrit

    for name in names:
        # Right-lateral: the right-hand side moves backward, against the strike.
        sign = -1.0 if name == "parallel" else 1.0
        noise = estimate_noise([s.samples[name] for s in stations if s is not None])
        for i, station in enumerate(stations):
            if station is None:
                continue
            offset, error, freedom = _offset(station, name, noise)
            one, spread = (
                float(stdtrit(freedom, 0.5 + share / 2)) * error for share in (_ONE_SIGMA, level)
            )
            out[name][i] = sign * offset
            out[f"{name}_sigma"][i] = one
            out[f"{name}_low"][i] = sign * offset - spread
            out[f"{name}_high"][i] = sign * offset + spread
            if name == "parallel" and abs(offset) > 3 * error:
                share = _transition(station, name)
                zone = fit_zone(station.distance, share, reach, near)
                out["zone_width"][i], out["off_fault_share"][i] = zone
    return out


def _offset(station: _Station, name: str, noise: Noise) -> tuple[float, float, float]:
    """Right minus left at the trace, its error, and the degrees of freedom of that."""
    sample, coefficients = station.samples[name], station.coefficients[name]
    terms = len(coefficients) // 2
    contrast = sample.estimator[0] - sample.estimator[terms]
    scale = noise.scale(sample)
    error = scale * np.sqrt(max(noise.covariance(sample, contrast, contrast),
                                float(contrast @ contrast)))  # fmt: skip
    freedom = max(2.0, len(sample.residuals) / noise.area - len(coefficients))
    return float(coefficients[0] - coefficients[terms]), float(error), freedom


def _transition(station: _Station, name: str) -> np.ndarray:
    """Position of each value between the left side's fit (0) and the right side's (1)."""
    coefficients = station.coefficients[name]
    terms = len(coefficients) // 2
    distance = station.distance / np.abs(station.distance).max()
    beside = 2 * station.beside / max(2 * np.abs(station.beside).max(), 1e-300)
    powers = [distance**k for k in range(terms - 1)] + [beside]
    right, left = (
        sum(c * p for c, p in zip(part, powers, strict=True))
        for part in (coefficients[:terms], coefficients[terms:])
    )
    step = np.asarray(coefficients[0] - coefficients[terms])
    return (station.values[name] - np.where(distance > 0, right, left)) / step + (distance > 0)


def _dataset(
    field: Field,
    line: Trace,
    at: np.ndarray,
    values: dict[str, np.ndarray],
    names: list[str],
    attrs: dict[str, Any],
) -> xr.Dataset:
    point, tangent = line.at(at)
    x, y = field.plane.to_crs(point[:, 0], point[:, 1])
    unit = field.grid.units
    signs = {
        "parallel": "positive right-lateral",
        "perpendicular": "positive where the sides move apart",
        "up": "positive where the side to the right of the trace rises",
    }
    percent = f"{100 * attrs['confidence']:g} %"
    kinds = {
        "": "offset", "_sigma": "one-sigma error (68.3 %) of the offset",
        "_low": f"lower end of the {percent} interval",
        "_high": f"upper end of the {percent} interval",
    }  # fmt: skip
    described: dict[str, dict[str, Any]] = {
        f"{name}{suffix}": {"long_name": f"{name} {kind}", "units": unit, "comment": signs[name]}
        for name in names
        for suffix, kind in kinds.items()
    }
    described["zone_width"] = {
        "long_name": "width of the middle 80 % of the parallel offset", "units": unit,
    }  # fmt: skip
    described["off_fault_share"] = {
        "long_name": f"share of the parallel offset farther than {attrs['off_fault_beyond']:g} "
        f"{field.unit} from the fault",
        "units": "1",
    }
    described["n_values"] = {"long_name": "values fitted to", "units": "1"}
    kept = {k: v for k, v in field.disp.attrs.items() if k.startswith("model")}
    out = xr.Dataset(
        {name: ("station", array, described[name]) for name, array in values.items()},
        coords={
            "distance": ("station", at, {"long_name": "distance along the trace", "units": unit}),
            "x": ("station", x, {"long_name": "x in the CRS of the field"}),
            "y": ("station", y, {"long_name": "y in the CRS of the field"}),
            "strike": (
                "station",
                np.degrees(np.arctan2(tangent[:, 0], tangent[:, 1])) % 360.0,
                {"long_name": "strike, clockwise from grid north", "units": "degree"},
            ),
        },
        attrs={"Conventions": "CF-1.11", **kept, **attrs},
    )
    if field.grid.crs is not None:
        import rioxarray  # noqa: F401  (registers .rio)

        out = out.rio.write_crs(field.grid.crs.to_wkt())
    return out
