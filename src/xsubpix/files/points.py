"""Offsets and profiles as points with attributes, for a GIS."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..atomic import replace_file
from ..errors import DataError, FileError, SubpixError
from .base import Format
from .cf import crs_of
from .sources import files_read_by
from .writing import new_target

if TYPE_CHECKING:
    import pyproj

__all__ = ["FORMAT", "to_points"]

#: Endings of names.
SUFFIXES = (".geojson", ".json", ".gpkg", ".fgb", ".gml", ".kml", ".csv")


def to_points(table: xr.Dataset, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write offsets or a profile as points with attributes, for a GIS.

    Parameters
    ----------
    table : xarray.Dataset
        From :func:`xsubpix.offsets`, :func:`xsubpix.profile`, :func:`xsubpix.quadtree` or
        :func:`xsubpix.sample`: coordinates ``x`` and ``y`` along one dimension. Variables with
        other dimensions (covariances) are left out.
    path : str or path
        ``*.geojson`` (longitude and latitude, RFC 7946; without CRS, the
        coordinates as they are), ``*.csv`` (a table, ``x`` and ``y`` in the CRS of the field), or
        another format of geopandas, such as ``*.gpkg``, in that CRS. No shapefile: it cuts
        names to ten letters, and ``parallel_low`` and ``parallel_high`` to one.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    FileError
        The folder is not there, the file exists, or it cannot be written.
    DataError
        This is not such a table.
    SubpixError
        geopandas is needed and not installed.

    Examples
    --------
    >>> from xsubpix.tutorial import example_earthquake, procedural_scene
    >>> post, truth = example_earthquake(procedural_scene((64, 64)))
    >>> x, y = truth.x, truth.y
    >>> line = [(x[4], y[32]), (x[-4], y[32])]
    >>> profile = xsubpix.profile(truth, line, width=50.0)
    >>> xsubpix.to_points(profile, "profile.geojson")
    """
    if (
        not isinstance(table, xr.Dataset)
        or not {"x", "y"} <= set(table.variables)
        or table["x"].ndim != 1
        or table["y"].dims != table["x"].dims
    ):
        have = dict(table.sizes) if isinstance(table, xr.Dataset) else type(table).__name__
        raise DataError(
            f"table has {have}; offsets or a profile, with coordinates x and y along one "
            "dimension, are needed."
        )
    if (given := Path(path)).suffix.lower() == ".shp":
        raise FileError(
            f"cannot write {given}: a shapefile cuts names to ten letters. Write "
            f"{given.with_suffix('.gpkg').name}."
        )
    target = new_target(path, overwrite, SUFFIXES, sources=files_read_by(table))
    (dim,) = table["x"].dims
    crs = crs_of(table)
    columns = {
        str(name): table[name].values
        for name in [*table.coords, *table.data_vars]
        if table[name].dims == (dim,)
    }
    try:
        # A folder, since some formats are several files.
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as folder:
            part = Path(folder) / target.name
            if target.suffix.lower() in (".geojson", ".json"):
                part.write_text(json.dumps(_geojson(columns, crs), allow_nan=False))
            elif target.suffix.lower() == ".csv":
                import pandas as pd

                pd.DataFrame(columns).to_csv(part, index=False)
            else:
                _geo_frame(columns, crs).to_file(
                    part, layer=dim if part.suffix == ".gpkg" else None
                )
            pieces = sorted(Path(folder).iterdir())
            for piece in pieces:  # a schema, say, beside the points
                if piece.name != target.name:
                    new_target(target.parent / piece.name, overwrite)
            for piece in pieces:
                replace_file(piece, target.parent / piece.name)
    except OSError as error:
        raise FileError(f"cannot write {target}: {error}") from error


def _number(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _geojson(columns: dict[str, np.ndarray], crs: pyproj.CRS | None) -> dict[str, Any]:
    x, y = columns["x"], columns["y"]
    if crs is not None:
        import pyproj

        to_degrees = pyproj.Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
        x, y = to_degrees.transform(x, y)
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [float(x[i]), float(y[i])]},
            "properties": {name: _number(values[i]) for name, values in columns.items()},
        }
        for i in range(len(x))
    ]
    return {"type": "FeatureCollection", "features": features}


def _geo_frame(columns: dict[str, np.ndarray], crs: pyproj.CRS | None) -> Any:
    try:
        import geopandas
    except ImportError as error:
        raise SubpixError(
            "this format needs geopandas: pip install 'xsubpix[geo]', or write *.geojson."
        ) from error
    points = geopandas.points_from_xy(columns["x"], columns["y"])
    return geopandas.GeoDataFrame(columns, geometry=points, crs=crs)


FORMAT: Format = Format(
    "points", "points with attributes", write=to_points,
    suffixes=SUFFIXES,
)  # fmt: skip
