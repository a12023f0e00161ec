"""Sub-pixel ground displacement from pairs of optical satellite images, on xarray."""

from . import _interrupt  # noqa: F401  (first: what follows takes a second)
from ._version import __version__
from .accessor import DisplacementAccessor, ImageAccessor
from .align import align, regrid
from .correlate import correlate
from .database.own_pair import training_samples
from .displacement import (
    Trace,
    azimuth,
    calibrate_sigma,
    denoise,
    destripe,
    detect_trace,
    detrend,
    epe,
    filter_outliers,
    line_of_sight,
    magnitude,
    mask,
    offsets,
    profile,
    quadtree,
    read_trace,
    rotate,
    sample,
    series,
    statistics,
    strain,
    summary,
    to_pixels,
    true_north,
    velocity,
)
from .errors import (
    ClusterError,
    DataError,
    DimensionError,
    FaultError,
    FileError,
    GridError,
    ModelError,
    SubpixError,
    SubpixWarning,
)
from .estimators import Estimate, Estimator, available_models
from .explore import explore
from .files import (
    open_displacement,
    open_image,
    open_pair,
    to_cog,
    to_cosi_corr,
    to_kite,
    to_netcdf,
    to_points,
)
from .grid import Grid
from .report import report
from .rupture import Fault, synthetic_rupture
from .stack import pairs
from .warp import warp_quintic

__all__ = [
    "ClusterError",
    "DataError",
    "DimensionError",
    "DisplacementAccessor",
    "Estimate",
    "Estimator",
    "Fault",
    "FaultError",
    "FileError",
    "Grid",
    "GridError",
    "ImageAccessor",
    "ModelError",
    "SubpixError",
    "SubpixWarning",
    "Trace",
    "__version__",
    "align",
    "available_models",
    "azimuth",
    "calibrate_sigma",
    "correlate",
    "denoise",
    "destripe",
    "detect_trace",
    "detrend",
    "epe",
    "explore",
    "filter_outliers",
    "line_of_sight",
    "magnitude",
    "mask",
    "offsets",
    "open_displacement",
    "open_image",
    "open_pair",
    "pairs",
    "profile",
    "quadtree",
    "read_trace",
    "regrid",
    "report",
    "rotate",
    "sample",
    "series",
    "statistics",
    "strain",
    "summary",
    "synthetic_rupture",
    "to_cog",
    "to_cosi_corr",
    "to_kite",
    "to_netcdf",
    "to_pixels",
    "to_points",
    "training_samples",
    "true_north",
    "velocity",
    "warp_quintic",
]


def __dir__() -> list[str]:
    """Public names, for tab completion: not the files they come from."""
    return list(__all__)
