"""Products of a displacement field: components, cleaning, profiles, offsets, strain, series."""

from .calibrate import calibrate_sigma
from .compare import epe
from .components import azimuth, line_of_sight, magnitude, rotate, to_pixels, true_north
from .denoise import denoise
from .destripe import destripe
from .detect import detect_trace
from .detrend import detrend
from .masking import mask
from .offsets import offsets
from .outliers import filter_outliers
from .profiles import profile
from .quadtree import quadtree, sample
from .series import series
from .statistics import Statistics, statistics
from .strain import strain
from .summary import summary
from .traces import Trace, read_trace
from .velocity import velocity

__all__ = [
    "Statistics",
    "Trace",
    "azimuth",
    "calibrate_sigma",
    "denoise",
    "destripe",
    "detect_trace",
    "detrend",
    "epe",
    "filter_outliers",
    "line_of_sight",
    "magnitude",
    "mask",
    "offsets",
    "profile",
    "quadtree",
    "read_trace",
    "rotate",
    "sample",
    "series",
    "statistics",
    "strain",
    "summary",
    "to_pixels",
    "true_north",
    "velocity",
]
