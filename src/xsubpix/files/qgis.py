"""Styles for QGIS beside a GeoTIFF: diverging colours, the unit, unsure values transparent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import xarray as xr

from ..displacement.flagged import is_unsure
from ..errors import DataError

__all__ = ["MAP_BANDS", "with_map_bands", "write_styles"]

#: Bands that a styled GeoTIFF has beside those of the field: length of the horizontal
#: displacement, and 0 where a value is missing or flagged as unsure, else 255.
MAP_BANDS = ("magnitude", "opacity")
# Largest side of what limits are taken from, pixels.
_LOOK = 1500
# Share (%) of the values within the limits.
_WITHIN = 98.0
#: Colours from -1 to 1, dark blue, white, dark red (ColorBrewer RdBu, Apache 2.0).
_DIVERGING = (
    (-1.0, "#053061"), (-0.75, "#2166ac"), (-0.5, "#4393c3"), (-0.25, "#92c5de"), (0.0, "#f7f7f7"),
    (0.25, "#f4a582"), (0.5, "#d6604d"), (0.75, "#b2182b"), (1.0, "#67001f"),
)  # fmt: skip
_SEQUENTIAL = (
    (0.0, "#fcfdbf"), (0.25, "#fe9f6d"), (0.5, "#de4968"), (0.75, "#8c2981"), (1.0, "#3b0f70"),
)  # fmt: skip


def with_map_bands(disp: xr.Dataset) -> xr.Dataset:
    """Add what maps need to a field: ``magnitude`` and ``opacity``; lazy if it is.

    Raises
    ------
    DataError
        There is no ``east`` or ``north``.
    """
    if not isinstance(disp, xr.Dataset) or not {"east", "north"} <= set(disp.data_vars):
        have = list(disp.data_vars) if isinstance(disp, xr.Dataset) else type(disp).__name__
        raise DataError(f"disp has {have}; a style needs 'east' and 'north'.")
    east, north = disp["east"], disp["north"]
    length = np.hypot(east, north)
    shown = np.isfinite(length)
    unsure = is_unsure(disp)
    if unsure is not None:
        shown = shown & ~unsure
    opacity = xr.where(shown, np.float32(255), np.float32(0))
    unit = east.attrs.get("units", "1")
    out = disp.copy()
    for name, values, attrs in (
        (
            "magnitude",
            length,
            {"long_name": "length of the horizontal displacement", "units": unit},
        ),
        ("opacity", opacity, {"long_name": "0 where missing or unsure, else 255", "units": "1"}),
    ):
        data = xr.DataArray(values).transpose(*east.dims).data.astype(np.float32)
        out[name] = xr.Variable(east.dims, data, attrs, east.encoding)
    return out


def write_styles(path: str | os.PathLike[str]) -> list[Path]:
    """Write the styles of a GeoTIFF that has the bands of :func:`with_map_bands`.

    ``NAME.qml``, which QGIS takes by itself, for east; ``NAME_north.qml`` and
    ``NAME_magnitude.qml`` to be chosen (Layer properties, Style, Load).

    Returns
    -------
    list of pathlib.Path
    """
    import rasterio

    path = Path(path)
    with rasterio.open(path) as source:
        band = {name: k for k, name in enumerate(source.descriptions, 1)}
        every = max(1, -(-max(source.shape) // _LOOK))
        shape = tuple(-(-n // every) for n in source.shape)
        look: dict[str, Any] = {
            name: source.read(band[name], out_shape=shape)
            for name in ("east", "north", "magnitude", "opacity")
        }
        unit = source.units[band["east"] - 1] or "1"
    seen = look["opacity"] > 0
    written = []
    for name in ("east", "north", "magnitude"):
        sizes = np.abs(look[name][seen & np.isfinite(look[name])])
        limit = float(np.percentile(sizes, _WITHIN)) if sizes.size else 1.0
        colours = _SEQUENTIAL if name == "magnitude" else _DIVERGING
        ending = "" if name == "east" else f"_{name}"
        file = path.with_name(f"{path.stem}{ending}.qml")
        file.write_text(
            _qml(band[name], band["opacity"], limit or 1.0, colours, unit), encoding="utf-8"
        )
        written.append(file)
    return written


def _qml(
    band: int, opacity: int, limit: float, colours: tuple[tuple[float, str], ...], unit: str
) -> str:
    unit = "" if unit == "1" else f" {unit}"
    items = "".join(
        f'        <item value="{limit * at!r}" color="{colour}" alpha="255" '
        f"label={quoteattr(f'{limit * at:.3g}{unit}')}/>\n"
        for at, colour in colours
    )
    low = limit * colours[0][0]
    return f"""<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.22" styleCategories="AllStyleCategories">
  <pipe>
    <provider>
      <resampling enabled="false" zoomedInResamplingMethod="nearestNeighbour"
       zoomedOutResamplingMethod="nearestNeighbour" maxOversampling="2"/>
    </provider>
    <rasterrenderer type="singlebandpseudocolor" band="{band}" alphaBand="{opacity}" opacity="1"
     classificationMin="{low!r}" classificationMax="{limit!r}" nodataColor="">
      <minMaxOrigin><limits>None</limits><extent>WholeRaster</extent></minMaxOrigin>
      <rastershader>
       <colorrampshader colorRampType="INTERPOLATED" classificationMode="1" clip="0"
        minimumValue="{low!r}" maximumValue="{limit!r}" labelPrecision="3">
{items}       </colorrampshader>
      </rastershader>
    </rasterrenderer>
    <brightnesscontrast brightness="0" contrast="0" gamma="1"/>
    <huesaturation colorizeOn="0" saturation="0" grayscaleMode="0"/>
    <rasterresampler maxOversampling="2"/>
  </pipe>
  <blendMode>0</blendMode>
</qgis>
"""
