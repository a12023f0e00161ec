"""CRS of an image: where it is written, under any name, and what its unit measures."""

from __future__ import annotations

import functools
import sys
import warnings
from typing import TYPE_CHECKING, Any

from ..errors import GridError

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import pyproj
    import xarray as xr

__all__ = ["crs_name", "find_crs", "metres_in_unit", "same_crs", "with_grid_mapping"]

_KILOMETRES = {"km", "kilometre", "kilometer", "kilometres", "kilometers"}


def find_crs(
    image: xr.DataArray | xr.Dataset, what: str
) -> tuple[pyproj.CRS | None, Hashable | None]:
    """CRS and the name of the coordinate that holds it, under any name.

    Arithmetic drops ``encoding["grid_mapping"]`` but keeps the coordinate, so
    every scalar coordinate with a CRS in its attributes is looked at.

    Raises
    ------
    GridError
        The CRS cannot be read.

    Examples
    --------
    >>> import numpy as np, rioxarray, xarray as xr
    >>> pixel = {"y": -30.0 * np.arange(4), "x": 30.0 * np.arange(4)}
    >>> image = xr.DataArray(np.zeros((4, 4)), pixel, ("y", "x")).rio.write_crs("EPSG:32611")
    >>> from xsubpix.grid import find_crs
    >>> crs, name = find_crs(image, "image")
    >>> crs.to_epsg(), name
    (32611, 'spatial_ref')
    """
    named = _declared_mapping(image)
    scalars = [name for name, c in image.coords.items() if c.ndim == 0]
    for name in [*named, "spatial_ref", *scalars]:
        if name not in image.coords:
            continue
        attrs = image.coords[name].attrs
        text = attrs.get("crs_wkt") or attrs.get("spatial_ref")
        if text or "grid_mapping_name" in attrs:
            return _parse_crs(text or attrs, what), name
    first = next((name for name in [*named, "spatial_ref"] if name in image.coords), None)
    if isinstance(image.attrs.get("crs"), str | int):
        return _parse_crs(image.attrs["crs"], what), first
    # A CRS given by rio.set_crs, and not written, lives in rioxarray's accessor only.
    hidden = getattr(image.rio, "_crs", None) if "rioxarray" in sys.modules else None
    if hidden:
        return _parse_crs(hidden.to_wkt(), what), first
    # In the encoding only, the name is left over where the coordinate was dropped on purpose.
    if "grid_mapping" in image.attrs and first is None:
        raise GridError(
            f"{what} says that its CRS is in {named[0]!r}, which is none of its coordinates "
            f"{list(image.coords)}: it did not come along. Open the file with "
            "xr.open_dataset(..., decode_coords='all'), or take the image from "
            f"ds.set_coords({named[0]!r}); if it has no CRS, delete its attribute "
            "'grid_mapping'."
        )
    return None, first


def _declared_mapping(image: xr.DataArray | xr.Dataset) -> list[str]:
    """Names of grid mappings that an array's encoding or attributes refer to."""
    found = (source.get("grid_mapping") for source in (image.encoding, image.attrs))
    # CF's extended form lists coordinates too: "crs: x y".
    return [str(name).split(":")[0].split()[0] for name in found if name and str(name).strip()]


def with_grid_mapping(data: xr.Dataset) -> xr.Dataset:
    """Dataset whose grid mapping is a coordinate, so that it goes along with each variable.

    A file opened without ``decode_coords="all"`` holds its grid mapping among the data
    variables, and one variable taken out of it has no CRS any more.

    Examples
    --------
    >>> import xarray as xr
    >>> plain = xr.Dataset({"crs": ((), 0, {"crs_wkt": "EPSG:32611"})})
    >>> list(with_grid_mapping(plain).coords)
    ['crs']
    """
    names = [name for v in data.data_vars.values() for name in _declared_mapping(v)]
    names += [
        str(name)
        for name, v in data.data_vars.items()
        if v.size == 1 and {"crs_wkt", "spatial_ref", "grid_mapping_name"} & set(v.attrs)
    ]
    found = [name for name in dict.fromkeys(names) if name in data.data_vars]
    if not found:
        return data
    out = data.set_coords(found)
    for name in found:
        if out[name].size == 1 and out[name].ndim:
            out = out.assign_coords({name: out[name].variable.squeeze()})
    return out


def _parse_crs(source: str | int | Mapping[Any, Any], what: str) -> pyproj.CRS:
    """CRS from text, a code or CF attributes, or GridError."""
    import pyproj

    try:
        if isinstance(source, str | int):
            return _crs_from_text(source)
        return pyproj.CRS.from_cf(dict(source))
    except (pyproj.exceptions.CRSError, KeyError) as error:
        raise GridError(
            f"cannot read the CRS of {what}: {error}. Write it: {what}.rio.write_crs('EPSG:...')."
        ) from error


@functools.lru_cache(maxsize=64)
def _crs_from_text(text: str | int) -> pyproj.CRS:
    """CRS from text, parsed once: a field is asked for its grid by each function it passes."""
    import pyproj

    with warnings.catch_warnings():
        # "+init=" and PROJ strings lose detail in theory; not in what we use.
        warnings.simplefilter("ignore")
        return pyproj.CRS.from_user_input(text)


def metres_in_unit(
    image: xr.DataArray, x_dim: Hashable, crs: pyproj.CRS | None, what: str
) -> float | None:
    """Metres in one unit of the coordinates; None on a geographic or unknown CRS.

    Raises
    ------
    GridError
        The CRS is neither a map nor longitude and latitude.
    """
    if crs is None or crs.is_geographic:
        return None
    # A compound CRS (map and height) counts as vertical too; its first part is the map.
    if crs.is_geocentric or (crs.is_vertical and not crs.is_compound):
        raise GridError(
            f"the CRS of {what}, {crs_name(crs)}, is no map or longitude-latitude system. "
            f"Reproject: {what}.rio.reproject(CRS)."
        )
    if x_dim in image.coords and image[x_dim].attrs.get("units") in _KILOMETRES:
        return 1000.0
    return float(crs.axis_info[0].unit_conversion_factor) if crs.axis_info else 1.0


def same_crs(one: pyproj.CRS | None, two: pyproj.CRS | None) -> bool:
    """Compare two CRSs, in whatever words they are written; None equals None only."""
    if one is None or two is None:
        return one is two
    if one == two or one.equals(two, ignore_axis_order=True):
        return True
    # The same CRS written by two programs can differ in names alone.
    codes = one.to_authority(min_confidence=70), two.to_authority(min_confidence=70)
    return codes[0] is not None and codes[0] == codes[1]


def crs_name(crs: pyproj.CRS | None) -> str:
    """Code or name of a CRS, for messages.

    Examples
    --------
    >>> import pyproj
    >>> crs_name(pyproj.CRS("EPSG:32611")), crs_name(None)
    ('EPSG:32611', 'no CRS')
    """
    if crs is None:
        return "no CRS"
    code = crs.to_authority()
    return ":".join(code) if code else (crs.name or crs.to_wkt())
