"""The description of a rupture: an immutable value that can be written down.

Coordinates are those of the image's grid, metres, x to the east and y to the
north of the CRS. Angles follow Aki & Richards: strike clockwise from the
grid's +y, the fault dipping to the right of the strike; rake 0 is
left-lateral, 180 right-lateral, +90 reverse, -90 normal.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import length_in_metres
from ..errors import FaultError
from .draw import draw_fault
from .scaling import moment_magnitude
from .segment import Segment, make_segment
from .slip import correlation_lengths, cosine_ramp, depth_taper, von_karman_field
from .strand import Strand, check_strands
from .trace import arc_length, resample, unit_vectors

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

__all__ = ["Fault", "random_fault"]

#: Slip nodes along and down a fault that is given by its trace.
_SLIP_NODES = (65, 13)


@dataclasses.dataclass(frozen=True)
class Fault:
    """A rupture: where it is, and how much it slipped, all values in metres and degrees.

    The plane below each segment is its trace moved along one down-dip
    direction, the same for the whole fault, so that it follows the trace at
    depth without gaps.

    Parameters
    ----------
    segments : tuple of Segment
        The pieces, in the order of the strike; more than one where the
        rupture steps over from one strand to the next.
    dip : float
        Degrees from the horizontal, to the right of the strike, above 0 to 90.
    rake : float
        Direction in which the hanging wall (the right-hand side, if vertical)
        moved, degrees: 0 left-lateral, 180 right-lateral, 90 reverse, -90
        normal.
    width : float
        Size along dip, metres.
    top_depth : float
        Depth of the top edge, metres: 0 ruptures the surface.
    element_size : float
        Height of the uppermost triangles, metres; those below grow from it.
    strands : tuple of Strand
        Planes beside the segments that have a part of their shallow slip: splays, parallel
        strands, distributed shear.

    Raises
    ------
    FaultError
        If a value is out of bounds.

    See Also
    --------
    Fault.from_trace : along a given line, with tapered slip.
    Fault.from_lonlat : the same, from longitudes and latitudes.
    Fault.straight : a plane of given strike and length.
    Fault.random : drawn from observed distributions.

    Examples
    --------
    >>> from xsubpix.rupture import Fault
    >>> fault = Fault.straight(0.0, 0.0, strike=30.0, length=20e3, dip=90.0, rake=180.0,
    ...                        width=12e3, slip=2.0)
    >>> fault.is_blind, round(fault.length)
    (False, 20000)
    """

    segments: tuple[Segment, ...]
    dip: float
    rake: float
    width: float
    top_depth: float
    element_size: float
    strands: tuple[Strand, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", tuple(self.segments))
        object.__setattr__(self, "strands", tuple(self.strands))
        for name in ("dip", "rake", "width", "top_depth", "element_size"):
            value = float(getattr(self, name))
            object.__setattr__(self, name, value)
            if not math.isfinite(value):
                raise FaultError(f"{name}={value!r}: give a finite number.")
        if not self.segments or not all(isinstance(s, Segment) for s in self.segments):
            raise FaultError("segments: give one Segment or more.")
        if not 0 < self.dip <= 90:
            raise FaultError(
                f"dip={self.dip!r}: give degrees above 0 and up to 90; reverse the trace to dip "
                "to its other side."
            )
        for name in ("width", "element_size"):
            length_in_metres(name, getattr(self, name), error=FaultError)
        if self.top_depth < 0:
            raise FaultError(f"top_depth={self.top_depth!r}: give metres below ground, 0 or more.")
        check_strands(self.segments, self.strands)
        deepest = max((strand.bottom for strand in self.strands), default=0.0)
        if deepest > self.width:
            raise FaultError(
                f"a strand reaches {deepest:g} m down a fault of {self.width:g} m: give a bottom "
                "within the width."
            )

    # -- construction -------------------------------------------------------

    @classmethod
    def from_trace(
        cls,
        trace: Any,
        *,
        width: float,
        slip: float,
        dip: float = 90.0,
        rake: float = 180.0,
        top_depth: float = 0.0,
        taper: float = 0.2,
        heterogeneity: float = 0.0,
        seed: int = 0,
        spacing: float | None = None,
    ) -> Fault:
        """Make a fault along a line, with slip tapered at its edges.

        Parameters
        ----------
        trace : array_like or shapely geometry
            Vertices, shape ``(n, 2)``, metres, or a sequence of such arrays,
            one per segment; a LineString or MultiLineString. The fault dips to the right of
            their direction.
        width, dip, rake, top_depth
            See :class:`Fault`.
        slip : float
            Largest value of the taper that slip follows, metres: the largest
            slip where `heterogeneity` is 0.
        taper : float
            Share of each segment's length over which slip falls to 0 at
            either end, 0 to 0.5. Slip also falls to 0 over the lowest 40 % of
            the width and, if buried, over the uppermost 20 %.
        heterogeneity : float
            Standard deviation of the slip relative to its taper: a von Karman
            field of Hurst exponent 0.75 (Mai & Beroza 2002), cut at 0.
        seed : int
            Seed of that field.
        spacing : float, optional
            Longest edge of the triangles at the top; 1/128 of the length of
            all segments by default.

        Returns
        -------
        Fault
        """
        traces = _as_traces(trace)
        total = sum(float(arc_length(t)[-1]) for t in traces)
        spacing = total / 128 if spacing is None else float(spacing)
        length_in_metres("spacing", spacing, error=FaultError)
        if not 0 <= taper <= 0.5:
            raise FaultError(f"taper={taper!r}: give a share of the length from 0 to 0.5.")
        rng = np.random.default_rng(seed)
        down = np.linspace(0, 1, _SLIP_NODES[1])
        knots = np.linspace(0, 1, _SLIP_NODES[0])
        surface = 1.0 if top_depth == 0 else 0.0
        segments = []
        for vertices in traces:
            length = float(arc_length(vertices)[-1])
            shape = _tip_taper(knots, taper) * depth_taper(down, surface=surface)[:, None]
            if heterogeneity > 0:
                field = von_karman_field(
                    knots * length,
                    down[:, None] * width,
                    correlation_length=correlation_lengths(length, width),
                    hurst=0.75,
                    rng=rng,
                )
                shape = shape * np.maximum(0, 1 + heterogeneity * field)
            segments.append(make_segment(resample(vertices, spacing), knots, slip * shape))
        return cls(tuple(segments), dip, rake, width, top_depth, spacing)

    @classmethod
    def straight(
        cls,
        x: float,
        y: float,
        *,
        strike: float,
        length: float,
        width: float,
        slip: float,
        **options: Any,
    ) -> Fault:
        """Make a fault with a straight trace.

        Parameters
        ----------
        x, y : float
            Midpoint of the trace, metres.
        strike : float
            Degrees clockwise from the grid's +y; the fault dips to its right.
        length, width, slip : float
            Metres; see :meth:`from_trace`.
        **options
            As in :meth:`from_trace`.

        Returns
        -------
        Fault
        """
        length_in_metres("length", length, error=FaultError)
        along, _ = unit_vectors(strike)
        half = 0.5 * length * along
        ends = np.array([x, y]) + np.array([-half, half])
        return cls.from_trace(ends, width=width, slip=slip, **options)

    @classmethod
    def from_lonlat(cls, lonlat: Any, crs: Any, **options: Any) -> Fault:
        """Make a fault along a line given in longitude and latitude.

        Parameters
        ----------
        lonlat : array_like
            Longitudes and latitudes, degrees, WGS 84, shape ``(n, 2)``, or a
            sequence of such arrays.
        crs : pyproj.CRS or anything that makes one
            The grid's CRS, projected, in metres.
        **options
            As in :meth:`from_trace`.

        Returns
        -------
        Fault

        Raises
        ------
        FaultError
            If the CRS is not projected in metres, or does not reach there.
        """
        import pyproj

        target = pyproj.CRS.from_user_input(crs)
        units = {axis.unit_name for axis in target.axis_info}
        if not target.is_projected or units != {"metre"}:
            raise FaultError(
                f"The CRS {target.name!r} has axes in {sorted(units)}: give a projected CRS in "
                "metres, such as the UTM zone of the image."
            )
        convert = pyproj.Transformer.from_crs("OGC:CRS84", target, always_xy=True).transform
        traces = [np.column_stack(convert(t[:, 0], t[:, 1])) for t in _as_traces(lonlat)]
        if not all(np.all(np.isfinite(t)) for t in traces):
            raise FaultError(
                f"The trace lies outside of the reach of {target.name!r}; check that it is given "
                "as (longitude, latitude)."
            )
        return cls.from_trace(traces, **options)

    @classmethod
    def random(
        cls,
        rng: np.random.Generator | int | None,
        extent: tuple[float, float, float, float],
        **overrides: Any,
    ) -> Fault:
        """Draw a fault that crosses an extent; see :func:`xsubpix.rupture.random_fault`."""
        return cls(*draw_fault(rng, extent, **overrides))

    # -- description --------------------------------------------------------

    @property
    def traces(self) -> tuple[np.ndarray, ...]:
        """Vertices of each segment, metres, arrays of shape ``(n, 2)``."""
        return tuple(segment.vertices for segment in self.segments)

    @property
    def strand_traces(self) -> tuple[np.ndarray, ...]:
        """Vertices of each strand that breaks the surface, metres, arrays of shape ``(n, 2)``."""
        if self.is_blind:
            return ()
        return tuple(
            strand.vertices(self.segments[strand.segment])
            for strand in self.strands
            if not strand.is_smooth
        )

    @property
    def off_trace_share(self) -> float:
        """Share of the surface slip that is not on the segments but on strands, 0 to 1."""
        off = total = 0.0
        for k, segment in enumerate(self.segments):
            beside = [strand for strand in self.strands if strand.segment == k]
            knots = [segment.positions, *(strand.positions for strand in beside)]
            places = np.unique(np.concatenate(knots))
            slip = segment.length * np.interp(places, segment.positions, segment.slip[0])
            total += float(np.trapezoid(slip, places))
            share = sum(strand.share_at(places) for strand in beside)
            off += float(np.trapezoid(slip * share, places))
        return off / total if total > 0 else 0.0

    @property
    def strike(self) -> float:
        """Azimuth from the first vertex to the last, degrees clockwise from +y, 0 to 360."""
        dx, dy = np.subtract(self.segments[-1].trace[-1], self.segments[0].trace[0])
        return math.degrees(math.atan2(dx, dy)) % 360

    @property
    def length(self) -> float:
        """Length of the segments along their traces, metres."""
        return sum(segment.length for segment in self.segments)

    @property
    def max_slip(self) -> float:
        """Largest slip, metres."""
        return max(float(np.max(segment.slip)) for segment in self.segments)

    @property
    def mean_slip(self) -> float:
        """Slip averaged over the fault's area, metres."""
        total = 0.0
        for segment in self.segments:
            profile = np.trapezoid(np.array(segment.slip), np.array(segment.positions), axis=1)
            total += segment.length * float(np.trapezoid(profile)) / (len(profile) - 1)
        return total / self.length

    @property
    def magnitude(self) -> float:
        """Moment magnitude for a rigidity of 30 GPa."""
        return moment_magnitude(self.length * self.width, self.mean_slip)

    @property
    def is_blind(self) -> bool:
        """True where the rupture stops below the ground."""
        return self.top_depth > 0

    @property
    def down_dip(self) -> np.ndarray:
        """Unit vector (east, north, up) down the dip, the same for all segments."""
        _, right = unit_vectors(self.strike)
        dip = math.radians(self.dip)
        return np.array([*(math.cos(dip) * right), -math.sin(dip)])

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        """The trace and its strands as GeoJSON geometry, which shapely and geopandas read."""
        lines = [line.tolist() for line in (*self.traces, *self.strand_traces)]
        if len(lines) == 1:
            return {"type": "LineString", "coordinates": lines[0]}
        return {"type": "MultiLineString", "coordinates": lines}

    @property
    def trace_wkt(self) -> str:
        """The trace and its strands as well-known text, in the grid's coordinates."""
        parts = [
            "(" + ", ".join(f"{x!r} {y!r}" for x, y in line.tolist()) + ")"
            for line in (*self.traces, *self.strand_traces)
        ]
        if len(parts) == 1:
            return f"LINESTRING {parts[0]}"
        return f"MULTILINESTRING ({', '.join(parts)})"

    @property
    def trace(self) -> BaseGeometry:
        """The trace as a shapely LineString (MultiLineString if it steps over).

        Raises
        ------
        FaultError
            If shapely is not installed.
        """
        try:
            from shapely.geometry import shape
        except ImportError as error:
            raise FaultError(
                "Fault.trace needs shapely: pip install shapely, or use Fault.traces (arrays) or "
                "Fault.trace_wkt (text)."
            ) from error
        return shape(self.__geo_interface__)

    # -- other faults from this one ------------------------------------------

    def scaled(self, factor: float) -> Fault:
        """Return the same fault with all slip multiplied by a factor, 0 or more."""
        segments = tuple(
            dataclasses.replace(s, slip=tuple(tuple(factor * v for v in row) for row in s.slip))
            for s in self.segments
        )
        return dataclasses.replace(self, segments=segments)

    # -- writing down -------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the fault as numbers, strings, lists and dicts."""
        described = {
            "type": "xsubpix.Fault",
            "version": 2 if self.strands else 1,
            "dip": self.dip,
            "rake": self.rake,
            "width": self.width,
            "top_depth": self.top_depth,
            "element_size": self.element_size,
            "segments": [
                {
                    "trace": [list(vertex) for vertex in segment.trace],
                    "positions": list(segment.positions),
                    "slip": [list(row) for row in segment.slip],
                }
                for segment in self.segments
            ],
        }
        if self.strands:
            described["strands"] = [strand.to_dict() for strand in self.strands]
        return described

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Fault:
        """Return the fault that :meth:`to_dict` described.

        Raises
        ------
        FaultError
            If the description is not one, or is incomplete.
        """
        try:
            if values["type"] != "xsubpix.Fault" or values["version"] not in (1, 2):
                raise FaultError(
                    f"This is {values['type']!r}, version {values['version']!r}; "
                    "'xsubpix.Fault', versions 1 and 2, can be read here."
                )
            segments = tuple(
                Segment(tuple(map(tuple, s["trace"])), s["positions"], s["slip"])
                for s in values["segments"]
            )
            names = ("dip", "rake", "width", "top_depth", "element_size")
            strands = tuple(Strand(**strand) for strand in values.get("strands", ()))
            return cls(segments, **{name: values[name] for name in names}, strands=strands)
        except (KeyError, TypeError) as error:
            raise FaultError(f"Not a complete description of a fault: {error!r}.") from error

    def to_json(self) -> str:
        """Return the fault as JSON text, from which it comes back exactly."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Fault:
        """Return the fault that :meth:`to_json` wrote.

        Raises
        ------
        FaultError
            If the text is not a fault.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise FaultError(f"Not the JSON text of a fault: {error}.") from error
        return cls.from_dict(values)

    def __repr__(self) -> str:
        return (
            f"Fault(Mw {self.magnitude:.1f}, strike {self.strike:.0f}, dip {self.dip:.0f}, "
            f"rake {self.rake:.0f}, length {self.length / 1e3:.1f} km, "
            f"width {self.width / 1e3:.1f} km, top {self.top_depth / 1e3:.2f} km, "
            f"slip up to {self.max_slip:.3g} m, {len(self.segments)} segment(s)"
            + (f", {len(self.strands)} strands)" if self.strands else ")")
        )


def _tip_taper(position: np.ndarray, share: float) -> np.ndarray:
    """Rise from 0 and fall to 0 over a share of the length; 1 throughout for share 0."""
    if share == 0:
        return np.ones_like(position)
    return cosine_ramp(position, 0, share) * cosine_ramp(position, 1, 1 - share)


def _as_traces(trace: Any) -> list[np.ndarray]:
    """Return a list of ``(n, 2)`` arrays from one trace or a sequence of them."""
    pieces: Sequence[Any] = [trace]
    try:
        if hasattr(trace, "__geo_interface__"):  # of shapely, say
            lines = trace.__geo_interface__
            several = lines["type"] == "MultiLineString"
            pieces = lines["coordinates"] if several else [lines["coordinates"]]
            pieces = [[vertex[:2] for vertex in piece] for piece in pieces]
        elif not isinstance(trace, np.ndarray) and len(trace) > 0 and np.ndim(trace[0]) == 2:
            pieces = trace
        arrays = [np.asarray(piece, dtype=float) for piece in pieces]
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise FaultError(
            f"cannot read a {type(trace).__name__} as a trace: {error}. Give vertices (x, y), "
            "shape (n, 2), a LineString, or a sequence of such arrays."
        ) from error
    for array in arrays:
        if array.ndim != 2 or array.shape[1] != 2 or len(array) < 2:
            raise FaultError(
                f"A trace has shape {array.shape}: give vertices (x, y), shape (n, 2), two or "
                "more, or a sequence of such arrays."
            )
        if not np.all(np.isfinite(array)):
            raise FaultError(f"A trace needs finite vertices; got {array.tolist()!r}.")
    return arrays


def random_fault(
    rng: np.random.Generator | int | None,
    extent: tuple[float, float, float, float],
    **overrides: Any,
) -> Fault:
    """Draw a fault whose trace crosses an extent.

    Parameters
    ----------
    rng : numpy.random.Generator, int or None
        Source of the draws, or a seed of one.
    extent : tuple of float
        ``(xmin, ymin, xmax, ymax)``, metres.
    **overrides
        Parameters that are given instead of drawn, such as ``mechanism="reverse"``
        or ``slip=3.0``: the keywords of :func:`xsubpix.rupture.draw_fault`, which says
        from which distributions the rest is drawn.

    Returns
    -------
    Fault

    Raises
    ------
    FaultError
        The extent is empty, or an argument out of bounds.

    See Also
    --------
    draw_fault : the parameters of the fault, and their distributions.

    Examples
    --------
    >>> fault = random_fault(5, (0, 0, 20e3, 20e3), slip=2.0, dip=90.0)
    >>> fault.dip, round(fault.mean_slip)
    (90.0, 2)
    """
    return Fault.random(rng, extent, **overrides)
