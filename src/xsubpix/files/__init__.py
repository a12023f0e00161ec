"""Files: images and displacement fields in, displacement, profiles and offsets out."""

from .cosi_corr import to_cosi_corr
from .geotiff import to_cog
from .images import open_image
from .kite import to_kite
from .netcdf import to_netcdf
from .pair import open_pair
from .points import to_points
from .registry import open_displacement

__all__ = [
    "open_displacement",
    "open_image",
    "open_pair",
    "to_cog",
    "to_cosi_corr",
    "to_kite",
    "to_netcdf",
    "to_points",
]
