"""A displacement field in other components: lengths, angles, along a fault, toward a satellite."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..checks import real_number
from ..errors import DataError
from ..grid import Plane
from .field import Field
from .traces import Trace, read_trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..grid import Grid

__all__ = ["azimuth", "line_of_sight", "magnitude", "rotate", "to_pixels", "true_north"]

#: Pixels between the points at which the direction of true north is computed.
_NORTH_EVERY = 64


def magnitude(disp: xr.Dataset) -> xr.DataArray:
    """Length of the horizontal displacement.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north``.

    Returns
    -------
    xarray.DataArray
        sqrt(east**2 + north**2), unit of the field; lazy if it is. Noise makes
        it larger: where nothing moved it is not zero but about 1.25 sigma.

    Raises
    ------
    DataError, DimensionError, GridError
        `disp` is not a displacement field.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> east, north = np.full((4, 4), 3.0), np.full((4, 4), 4.0)
    >>> disp = xr.Dataset({"east": (("y", "x"), east), "north": (("y", "x"), north)})
    >>> float(xsubpix.magnitude(disp)[0, 0])
    5.0
    """
    field = Field.of(disp)
    (length,) = field.map(_length, ["east", "north"], 1)
    attrs = {"long_name": "length of the horizontal displacement", "units": field.grid.units}
    return _one(field, "magnitude", length, attrs)


def azimuth(disp: xr.Dataset) -> xr.DataArray:
    """Direction of the horizontal displacement.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north``.

    Returns
    -------
    xarray.DataArray
        Degrees clockwise from grid north (+y), 0 to 360; lazy if the field is.

    Raises
    ------
    DataError, DimensionError, GridError
        `disp` is not a displacement field.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> east, north = np.full((4, 4), 1.0), np.full((4, 4), 0.0)
    >>> disp = xr.Dataset({"east": (("y", "x"), east), "north": (("y", "x"), north)})
    >>> float(xsubpix.azimuth(disp)[0, 0])  # to the east
    90.0
    """
    field = Field.of(disp)
    (angle,) = field.map(_bearing, ["east", "north"], 1)
    attrs = {
        "long_name": "direction of the horizontal displacement",
        "units": "degree",
        "comment": "clockwise from grid north (+y of the CRS)",
    }
    return _one(field, "azimuth", angle, attrs)


def rotate(disp: xr.Dataset, strike: Any, *, smoothing: float = 0.0) -> xr.Dataset:
    """Components along and across a fault.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north``.
    strike : float or trace
        Degrees clockwise from grid north; or the fault's trace, as
        :func:`xsubpix.read_trace` takes it: each pixel then gets the strike of
        the nearest point of the trace.
    smoothing : float
        Length of trace over which its strike is averaged, metres. A mapped trace
        is rough, and its strike from vertex to vertex has little to do with slip:
        take the length of the swaths that you look at, or a few times the
        distance from the trace.

    Returns
    -------
    xarray.Dataset
        ``parallel``, positive toward the strike, and ``perpendicular``, positive
        to the right of it, with ``sigma``, ``quality``, ``flags`` and ``up``
        unchanged; for a trace also ``distance`` (metres to the right of the trace)
        and ``strike`` (degrees). Lazy if `disp` is.

    Raises
    ------
    DataError, DimensionError, GridError, FileError
        `disp` is not a displacement field, or `strike` not a trace.
    ModelError
        The strike or the smoothing is not a usable number.

    Notes
    -----
    With strike phi: parallel = east sin phi + north cos phi, perpendicular =
    east cos phi - north sin phi. A right-lateral fault moves the ground to the
    right of its trace backward: parallel is negative there, whichever way the
    trace is drawn.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> east, north = np.full((4, 4), 0.0), np.full((4, 4), 2.0)
    >>> disp = xr.Dataset({"east": (("y", "x"), east), "north": (("y", "x"), north)})
    >>> turned = xsubpix.rotate(disp, 0.0)  # a fault that strikes north
    >>> float(turned.parallel[0, 0]), float(turned.perpendicular[0, 0])
    (2.0, 0.0)
    """
    field = Field.of(disp)
    smoothing = real_number("smoothing", smoothing, 0.0)
    unchanged = ("up", "sigma", "quality", "flags", *field.further)
    variables: dict[str, tuple[Any, dict[str, Any]]] = {}
    parts: Sequence[Any]
    if isinstance(strike, (int, float, np.integer, np.floating)):
        degrees = real_number("strike", strike, -360.0, 360.0)
        along = (math.sin(math.radians(degrees)), math.cos(math.radians(degrees)))
        parts = field.map(_Fixed(along), ["east", "north"], 2)
        text = f"{degrees:g} degrees"
    else:
        trace = read_trace(strike, field.grid, smoothing=smoothing)
        *parts, distance, local = field.map(_AlongTrace(field.plane, trace), ["east", "north"], 4)
        text = f"local, of a trace of {trace.length:.6g} {field.unit}"
        variables["distance"] = distance, {
            "long_name": "distance from the trace", "units": field.grid.units,
            "comment": "positive to the right of the trace",
        }  # fmt: skip
        variables["strike"] = local, {
            "long_name": "strike of the nearest point of the trace", "units": "degree",
            "comment": "clockwise from grid north",
        }  # fmt: skip
    named = {
        "parallel": "positive toward the strike; negative to the right of a right-lateral fault",
        "perpendicular": "positive to the right of the strike",
    }
    rotated = {
        name: (
            array,
            {"long_name": f"fault-{name} displacement", "units": field.grid.units, "comment": sign},
        )
        for (name, sign), array in zip(named.items(), parts, strict=True)
    }
    attrs = {"title": "Displacement along and across a fault", "strike": text}
    return field.new({**rotated, **variables}, attrs, unchanged=unchanged)


def to_pixels(disp: xr.Dataset) -> xr.Dataset:
    """Displacement in pixels of the field's own grid.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north``.

    Returns
    -------
    xarray.Dataset
        ``dx`` (along increasing column) and ``dy`` (along increasing row), pixels
        of this grid: at ``step`` > 1, one of them is `step` of the image's. Lazy if
        `disp` is.

    Raises
    ------
    DataError, DimensionError, GridError
        `disp` is not a displacement field.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> pixel = {"y": -30.0 * np.arange(40), "x": 30.0 * np.arange(60)}
    >>> x = np.broadcast_to(pixel["x"], (40, 60))
    >>> step = np.where(x < 900, -1.0, 1.0)  # 2 m across a fault at x = 885
    >>> disp = xr.Dataset({"east": (("y", "x"), 0 * step), "north": (("y", "x"), step)}, pixel)
    >>> round(float(xsubpix.to_pixels(disp).dy[0, 0]), 3)  # 1 m to the south, rows run south
    0.033
    """
    field = Field.of(disp)
    arrays = field.map(_Pixels(field.grid), ["east", "north"], 2)
    variables = {
        name: (
            array,
            {
                "long_name": f"displacement along {axis}",
                "units": "1",
                "comment": f"pixels of this grid, positive toward increasing {axis}",
            },
        )
        for name, axis, array in zip(("dx", "dy"), ("columns", "rows"), arrays, strict=True)
    }
    scaled = field.lengths
    unchanged = ("quality", "flags", *(name for name in field.further if name not in scaled))
    return field.new(variables, {"title": "Displacement in pixels"}, unchanged=unchanged)


def true_north(disp: xr.Dataset) -> xr.Dataset:
    """Displacement toward true east and true north instead of grid east and grid north.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north`` along the axes of a CRS.

    Returns
    -------
    xarray.Dataset
        ``true_east``, ``true_north``, unit of the field, ``convergence`` (degrees
        clockwise from true to grid north), and ``sigma``, ``quality``, ``flags``,
        ``up`` unchanged. Lazy if `disp` is.

    Raises
    ------
    DataError
        There is no CRS, or `disp` is not a displacement field.
    DimensionError, GridError
        The field is on no usable grid.

    Notes
    -----
    The convergence is that of the projection at the pixel (PROJ's factors,
    computed every 64 pixels and interpolated linearly). Lengths stay those on
    the map: its scale differs from 1 by 0.0004 within a UTM zone.

    Examples
    --------
    >>> import numpy as np, rioxarray, xarray as xr, xsubpix
    >>> pixel = {"y": 4e6 - 30.0 * np.arange(40), "x": 7e5 + 30.0 * np.arange(60)}
    >>> still = (("y", "x"), np.zeros((40, 60)))
    >>> disp = xr.Dataset({"east": still, "north": still}, pixel).rio.write_crs("EPSG:32611")
    >>> round(float(xsubpix.true_north(disp).convergence.mean()), 2)  # degrees
    1.32
    """
    field = Field.of(disp)
    if field.grid.crs is None:
        raise DataError(
            "disp has no CRS, so true north is unknown. Name it: disp = disp.rio.write_crs(...)."
        )
    arrays = field.map(_TrueNorth(_convergence(field)), ["east", "north"], 3)
    named = {"true_east": "toward true east", "true_north": "toward true north"}
    variables: dict[str, tuple[Any, dict[str, Any]]] = {
        name: (
            array,
            {
                "long_name": f"displacement {toward}",
                "units": field.grid.units,
                "comment": f"positive {toward}; lengths as on the map",
            },
        )
        for (name, toward), array in zip(named.items(), arrays, strict=False)
    }
    variables["convergence"] = arrays[2], {
        "long_name": "meridian convergence", "units": "degree",
        "comment": "clockwise from true to grid north",
    }  # fmt: skip
    unchanged = ("up", "sigma", "quality", "flags", *field.further)
    return field.new(variables, {"title": "Displacement, true directions"}, unchanged=unchanged)


def line_of_sight(disp: xr.Dataset, *, incidence: float, azimuth: float) -> xr.DataArray:
    r"""Displacement toward a satellite, as radar interferometry measures it.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east``, ``north`` and, if present, ``up``; without it, no vertical motion is
        assumed.
    incidence : float
        Angle at the ground between the vertical and the line to the satellite,
        degrees, 0 to 90.
    azimuth : float
        Direction from the ground to the satellite, degrees clockwise from grid
        north. A right-looking radar with heading h lies toward h - 90: about 260
        ascending, 100 descending with the heading of Sentinel-1.

    Returns
    -------
    xarray.DataArray
        Positive toward the satellite, unit of the field; lazy if it is.

    Raises
    ------
    DataError, DimensionError, GridError
        `disp` is not a displacement field.
    ModelError
        An angle is out of bounds.

    Notes
    -----
    .. math:: (e \sin a + n \cos a) \sin i + u \cos i.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> east, north = np.full((4, 4), 1.0), np.full((4, 4), 0.0)
    >>> disp = xr.Dataset({"east": (("y", "x"), east), "north": (("y", "x"), north)})
    >>> range_change = xsubpix.line_of_sight(disp, incidence=30.0, azimuth=90.0)
    >>> round(float(range_change[0, 0]), 3)
    0.5
    """
    field = Field.of(disp)
    i = math.radians(real_number("incidence", incidence, 0.0, 90.0))
    a = math.radians(real_number("azimuth", azimuth, -360.0, 360.0))
    toward = (math.sin(a) * math.sin(i), math.cos(a) * math.sin(i), math.cos(i))
    (sight,) = field.map(_Sight(toward), field.components, 1)
    vertical = "with" if "up" in disp else "without"
    attrs = {
        "long_name": "displacement toward the satellite",
        "units": field.grid.units,
        "comment": f"positive toward the satellite, {vertical} the vertical component; incidence "
        f"{incidence:g}, azimuth of the satellite {azimuth:g} degrees from grid north",
    }
    return _one(field, "line_of_sight", sight, attrs)


def _one(field: Field, name: str, array: Any, attrs: dict[str, Any]) -> xr.DataArray:
    return field.new({name: (array, attrs)}, {})[name]


def _length(blocks: list[np.ndarray], *_: np.ndarray) -> tuple[np.ndarray]:
    return (np.hypot(*blocks),)


def _bearing(blocks: list[np.ndarray], *_: np.ndarray) -> tuple[np.ndarray]:
    return (np.degrees(np.arctan2(*blocks)) % np.float32(360.0),)


@dataclasses.dataclass(frozen=True)
class _Fixed:
    along: tuple[float, float]

    def __call__(self, blocks: list[np.ndarray], *_: np.ndarray) -> tuple[np.ndarray, ...]:
        (east, north), (s, c) = blocks, self.along
        return east * s + north * c, east * c - north * s


@dataclasses.dataclass(frozen=True)
class _AlongTrace:
    plane: Plane
    trace: Trace

    def __call__(
        self, blocks: list[np.ndarray], rows: np.ndarray, cols: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        east, north = blocks
        x, y = self.plane.at(rows[:, None], cols[None, :])
        _, distance, tangent = self.trace.locate(x, y)
        s, c = tangent[..., 0], tangent[..., 1]
        strike = np.degrees(np.arctan2(s, c)) % 360.0
        return east * s + north * c, east * c - north * s, distance, strike


@dataclasses.dataclass(frozen=True)
class _Pixels:
    grid: Grid

    def __call__(
        self, blocks: list[np.ndarray], rows: np.ndarray, cols: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        return self.grid.to_pixels(blocks[0], blocks[1], rows, cols)


@dataclasses.dataclass(frozen=True)
class _Sight:
    toward: tuple[float, float, float]

    def __call__(self, blocks: list[np.ndarray], *_: np.ndarray) -> tuple[np.ndarray]:
        return (sum(k * part for k, part in zip(self.toward, blocks, strict=False)),)  # type: ignore[return-value]


@dataclasses.dataclass(frozen=True, eq=False)
class _TrueNorth:
    """Rotation by the convergence at nodes, interpolated: (rows, cols, degrees)."""

    nodes: tuple[np.ndarray, np.ndarray, np.ndarray]

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return ("TrueNorth", [node.tolist() for node in self.nodes])

    def __call__(
        self, blocks: list[np.ndarray], rows: np.ndarray, cols: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        from scipy.interpolate import RegularGridInterpolator

        at_rows, at_cols, degrees = self.nodes
        read = RegularGridInterpolator((at_rows, at_cols), degrees)
        angle = read(tuple(np.meshgrid(rows, cols, indexing="ij")))
        s, c = np.sin(np.radians(angle)), np.cos(np.radians(angle))
        east, north = blocks
        # Grid north points to the azimuth `angle`, grid east to `angle` + 90.
        return east * c + north * s, north * c - east * s, angle


def _convergence(field: Field) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Azimuth of grid north at nodes on the grid, degrees."""
    import pyproj

    grid = field.grid
    assert grid.crs is not None
    rows, cols = (
        np.unique(np.append(np.arange(0, n, _NORTH_EVERY), max(n - 1, 1))).astype(float)
        for n in grid.shape
    )
    turned = grid.crs.is_derived and grid.crs.source_crs is not None
    if grid.crs.is_geographic and not turned:
        return rows, cols, np.zeros((rows.size, cols.size))
    geodetic = grid.crs.source_crs if turned and grid.crs.is_geographic else grid.crs.geodetic_crs
    if geodetic is not None and geodetic.is_derived:
        geodetic = geodetic.source_crs
    convert = pyproj.Transformer.from_crs(grid.crs, geodetic, always_xy=True)
    x, y = grid.at(rows[:, None], cols[None, :])
    # A step of a metre to either side of the point, toward grid north.
    step = 1e-5 if grid.metres_per_unit is None else 1.0 / grid.metres_per_unit
    lon0, lat0 = convert.transform(x, y - step)
    lon1, lat1 = convert.transform(x, y + step)
    geod = grid.crs.get_geod()
    assert geod is not None
    forward, _, _ = geod.inv(lon0, lat0, lon1, lat1)
    # Around 180 degrees (a polar map) interpolation must not jump.
    return rows, cols, np.degrees(np.unwrap(np.unwrap(np.radians(forward), axis=0), axis=1))
