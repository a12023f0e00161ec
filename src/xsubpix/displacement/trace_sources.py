"""Lines read from whatever holds them: numbers, WKT, shapely, GeoJSON, vector files."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, SubpixError, SubpixWarning
from ..vectors import geojson_crs, read_vectors

__all__ = ["import_shapely", "read_lines"]

_LINES = {"LineString": 1, "LinearRing": 1, "MultiLineString": 2}
_WKT = ("LINESTRING", "MULTILINESTRING", "LINEARRING", "GEOMETRYCOLLECTION", "SRID=", "POINT",
        "POLYGON", "MULTIP", "CIRCULARSTRING", "COMPOUNDCURVE", "MULTICURVE")  # fmt: skip


def read_lines(trace: Any) -> tuple[list[np.ndarray], Any]:
    """Vertices of each line, and the CRS where the source names one.

    Parameters
    ----------
    trace : array_like, shapely geometry, GeoDataFrame, dict, str or path
        See :func:`xsubpix.read_trace`.

    Returns
    -------
    lines : list of numpy.ndarray
        Shape (n, 2) each.
    crs : object or None
        What pyproj makes a CRS of.

    Raises
    ------
    DataError
        There is no line in it, or what is there are no coordinates.
    FileError
        The file cannot be read.
    SubpixError
        geopandas or shapely is needed and not there.

    Examples
    --------
    >>> read_lines("LINESTRING (0 0, 3 4)")[0][0].shape
    (2, 2)
    """
    if isinstance(trace, str) and trace.lstrip().upper().startswith(_WKT):
        return _from_wkt(trace.strip())
    if isinstance(trace, str) and trace.lstrip().startswith("{"):
        try:
            trace = json.loads(trace)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError(f"the trace is text that is no GeoJSON: {error}.") from error
    if isinstance(trace, str | os.PathLike):
        document, crs = read_vectors(Path(trace), "the trace")
        return _lines_of(document, str(trace)), crs
    if isinstance(trace, dict):
        return _lines_of(trace, "the trace"), geojson_crs(trace, "the trace")
    try:
        geometry = getattr(trace, "__geo_interface__", None)
    except Exception as error:  # shapely's, of an empty point, and others' own
        raise DataError(f"cannot read the trace: {type(error).__name__}: {error}.") from error
    if geometry is not None:
        return _lines_of(geometry, "the trace"), getattr(trace, "crs", None)
    if trace is None or isinstance(trace, bool | int | float | bytes):
        raise DataError(
            f"trace is {trace!r}: give vertices (x, y), a LineString, a Fault, or a file of lines."
        )
    return _from_numbers(trace), None


def _from_numbers(trace: Any) -> list[np.ndarray]:
    if np.iscomplexobj(trace):
        raise DataError("the trace holds complex numbers: give vertices (x, y), shape (n, 2).")
    try:
        single = np.asarray(trace, float)
        lines = [single] if single.ndim == 2 else list(single)
    except (TypeError, ValueError):
        try:
            lines = [np.asarray(line, float) for line in trace]
        except (TypeError, ValueError) as error:
            raise DataError(f"cannot read a {type(trace).__name__} as a trace: {error}") from error
    if not lines or any(line.ndim != 2 or line.shape[1] != 2 for line in lines):
        raise DataError(
            f"a trace as numbers has shapes {[np.shape(line) for line in lines]}: give vertices "
            "(x, y) as an array of shape (n, 2), or several such arrays."
        )
    return lines


def _from_wkt(text: str) -> tuple[list[np.ndarray], Any]:
    """Lines of WKT, and the CRS of PostGIS' extended one: ``SRID=4326;LINESTRING (...)``."""
    crs = None
    if text.upper().startswith("SRID="):
        number, _, text = text[5:].partition(";")
        if not number.strip().isdigit():
            raise DataError(f"the trace names SRID={number!r}, which is no number of an EPSG code.")
        crs = f"EPSG:{number.strip()}" if int(number) else None
    shapely = import_shapely()
    try:
        geometry = shapely.from_wkt(text)
    except shapely.errors.ShapelyError as error:
        raise DataError(f"the trace is text that is no WKT: {error}.") from error
    return _lines_of(geometry.__geo_interface__, "the trace"), crs


def import_shapely() -> Any:
    """Import the package shapely, or say how to install it."""
    try:
        import shapely
    except ImportError as error:
        raise SubpixError("this needs shapely: pip install 'xsubpix[geo]'.") from error
    return shapely


def _lines_of(geometry: Any, what: str) -> list[np.ndarray]:
    """Lines within a geometry of GeoJSON's kinds; others beside them are left out with a word."""
    lines: list[np.ndarray] = []
    others: list[str] = []
    try:
        _collect(geometry, lines, others, 0)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(
            f"{what} is no GeoJSON geometry: {type(error).__name__}: {str(error)[:200]}. Give "
            "LineStrings of [x, y] vertices."
        ) from error
    if not lines:
        holds = f"holds {', '.join(sorted(set(others)))}" if others else "is empty"
        raise DataError(f"a trace must be a LineString or MultiLineString; this {holds}.")
    if others:
        warnings.warn(
            f"{what} holds {len(others)} {' and '.join(sorted(set(others)))} beside its lines: "
            "they are left out.",
            SubpixWarning,
            stacklevel=6,
        )
    return lines


def _collect(geometry: Any, lines: list[np.ndarray], others: list[str], depth: int) -> None:
    """Add the lines of a geometry to some, and the kinds of what is none to others."""
    if geometry is None:
        others.append("empty geometry")
        return
    if depth > 32:
        raise ValueError("geometries within geometries without end")
    kind = geometry.get("type")
    inner = {
        "FeatureCollection": "features", "Feature": "geometry", "GeometryCollection": "geometries",
    }.get(kind)  # fmt: skip
    if inner is not None:
        parts = [geometry[inner]] if kind == "Feature" else geometry[inner]
        for part in parts if parts is not None else ():
            _collect(part, lines, others, depth + 1)
        return
    if kind not in _LINES:
        others.append(str(kind)[:40])
        return
    found = [geometry["coordinates"]] if _LINES[kind] == 1 else geometry["coordinates"]
    for part in found:
        if len(part) == 0:
            others.append("empty line")
            continue
        vertices = np.array([[float(v) for v in vertex[:2]] for vertex in part])
        if vertices.ndim != 2 or vertices.shape[1] != 2:
            raise ValueError("vertices of fewer than two numbers")
        lines.append(vertices)
