"""Files and documents of lines and polygons: GeoJSON by itself, others by geopandas."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from .errors import DataError, FileError, SubpixError

__all__ = ["geojson_crs", "read_vectors"]

# Longer files are neither traces nor masks; a vertex is some 40 bytes of text.
_LARGEST_FILE = 512 * 2**20


def read_vectors(path: Path, what: str) -> tuple[Any, Any]:
    """Read a file of lines or polygons.

    Parameters
    ----------
    path : pathlib.Path
        GeoJSON, or what geopandas reads.
    what : str
        What it holds, for messages: ``"the trace"``.

    Returns
    -------
    document : dict
        Geometry, Feature or FeatureCollection; of GeoJSON whatever the file holds.
    crs : object
        What pyproj makes a CRS of; None where the file names none.

    Raises
    ------
    FileError
        There is no such file, it is no file, too large, or cannot be read.
    DataError
        It names a CRS in a way that is none.
    SubpixError
        geopandas is needed and not there.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.geojson")
    ...     _ = path.write_text('{"type": "Point", "coordinates": [0, 1]}')
    ...     read_vectors(path, "the point")
    ({'type': 'Point', 'coordinates': [0, 1]}, 'OGC:CRS84')
    """
    if not path.exists():
        raise FileError(f"cannot read {what} {path}: there is no such file.")
    if not (path.is_file() or path.suffix.lower() == ".gdb"):
        kind = "a folder" if path.is_dir() else "a pipe or a device"
        raise FileError(f"cannot read {what} {path}: it is {kind}. Name a file of vectors.")
    if path.is_file() and path.stat().st_size > _LARGEST_FILE:
        raise FileError(
            f"cannot read {what} {path}: it has {path.stat().st_size / 2**20:.0f} MiB, and "
            f"{_LARGEST_FILE / 2**20:.0f} are the most. Save what lies on this ground alone."
        )
    if path.suffix.lower() in (".geojson", ".json"):
        try:
            document = json.loads(path.read_bytes().decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise FileError(
                f"cannot read {path} as GeoJSON: it is not UTF-8 ({error.reason} at byte "
                f"{error.start}). Save it as UTF-8."
            ) from error
        except (json.JSONDecodeError, RecursionError, OSError) as error:
            raise FileError(f"cannot read {path} as GeoJSON: {error}.") from error
        return document, geojson_crs(document, str(path))
    try:
        import geopandas
    except ImportError as error:
        raise SubpixError(
            f"reading {path} needs geopandas: pip install 'xsubpix[geo]', or save it as GeoJSON."
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged files, told as an error
            frame = geopandas.read_file(path)
            geometry = frame.geometry if hasattr(frame, "geometry") else None
    except Exception as error:  # its engines each have their own
        raise FileError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if geometry is None:
        raise FileError(f"cannot read {what} {path}: it is a table without geometry.")
    return geometry.__geo_interface__, frame.crs


def geojson_crs(document: Any, what: str) -> str:
    """CRS of GeoJSON: longitude and latitude (RFC 7946), unless an older writer named one.

    Raises
    ------
    DataError
        It has a ``crs`` without a name.

    Examples
    --------
    >>> geojson_crs({"crs": {"type": "name", "properties": {"name": "EPSG:32611"}}}, "a line")
    'EPSG:32611'
    """
    named = None
    if isinstance(document, dict) and isinstance(document.get("crs"), dict):
        properties = document["crs"].get("properties")
        named = properties.get("name") if isinstance(properties, dict) else None
        if not isinstance(named, str):
            raise DataError(
                f"{what} has a 'crs' without a name: delete it, if it is longitude and latitude, "
                'or write {"type": "name", "properties": {"name": "EPSG:..."}}.'
            )
    return named or "OGC:CRS84"
