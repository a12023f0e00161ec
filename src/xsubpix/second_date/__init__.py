"""Second dates: what changes between two images of the same ground that did not move."""

from .atmosphere import Cloud, Haze
from .correlation import CORRELATION_AT_GAP, correlation_at_gap
from .date import RECORD_VERSION, SecondDate
from .effects import (
    AcquisitionEffect,
    Cause,
    Conditions,
    Effect,
    GroundEffect,
    ImageStatistics,
    stream,
)
from .ground import Exposure, Staleness, Stretch
from .registry import EFFECTS
from .sensor import Counts, DetectorJitter, Optics, SensorNoise, Stripes
from .surface import (
    BandMixing,
    BlobsAndLines,
    FieldChange,
    ForeignGround,
    Growth,
    LandCoverChange,
    NewSun,
)

__all__ = [
    "CORRELATION_AT_GAP",
    "EFFECTS",
    "RECORD_VERSION",
    "AcquisitionEffect",
    "BandMixing",
    "BlobsAndLines",
    "Cause",
    "Cloud",
    "Conditions",
    "Counts",
    "DetectorJitter",
    "Effect",
    "Exposure",
    "FieldChange",
    "ForeignGround",
    "GroundEffect",
    "Growth",
    "Haze",
    "ImageStatistics",
    "LandCoverChange",
    "NewSun",
    "Optics",
    "SecondDate",
    "SensorNoise",
    "Staleness",
    "Stretch",
    "Stripes",
    "correlation_at_gap",
    "stream",
]
