"""What one does with a displacement field."""

from .compare import epe
from .components import azimuth, line_of_sight, magnitude, rotate, to_pixels, true_north
from .denoise import denoise
from .destripe import destripe
from .detrend import detrend
from .masking import mask
from .outliers import filter_outliers
from .strain import strain
from .traces import read_trace

__all__ = [
    "azimuth",
    "denoise",
    "destripe",
    "detrend",
    "epe",
    "filter_outliers",
    "line_of_sight",
    "magnitude",
    "mask",
    "read_trace",
    "rotate",
    "strain",
    "to_pixels",
    "true_north",
]
