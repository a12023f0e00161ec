"""Records of version 1: one flat mapping of all parameters, without a version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import DataError
from .atmosphere import Cloud, Haze
from .effects import Effect
from .ground import Exposure, Staleness, Stretch
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

__all__ = ["effects_of_flat_record"]

_SECOND_DATE = ("seed", "correlation", "before_mix", "classes")
_CAUSES = ("mixing", "land cover", "fields", "foreign ground", "growth", "blobs and lines", "sun")
_PARAMETERS = (
    "after_mix", "causes", "reversal", "exposure", "parcel_size", "parcel_angle", "sun", "gain",
    "offset", "haze", "cloud", "shadow", "stale", "blur", "blur_aspect", "jitter",
    "jitter_module", "jitter_rows", "noise", "noise_floor", "grain", "grain_exponent", "stripes",
    "stripe_period", "stripe_rows", "quantum",
)  # fmt: skip


def effects_of_flat_record(record: Mapping[str, Any]) -> tuple[Effect, ...]:
    """Effects that a record of version 1 stands for; they give the same image.

    Parameters
    ----------
    record : mapping
        All parameters of that version.

    Raises
    ------
    DataError
        Parameters are missing or unknown.
    """
    expected = {*_SECOND_DATE, *_PARAMETERS}
    wrong = sorted(expected ^ set(record))
    if wrong or len(record["causes"]) != len(_CAUSES):
        raise DataError(
            "a second date's record without a version needs exactly "
            f"{', '.join(sorted(expected))}, with {len(_CAUSES)} causes; missing or unknown: "
            f"{', '.join(wrong) or 'causes'}."
        )
    r: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in record.items()
    }
    weight = dict(zip(_CAUSES, r["causes"], strict=True))
    return (
        BandMixing(weight["mixing"], r["after_mix"]),
        LandCoverChange(weight["land cover"], r["reversal"]),
        FieldChange(weight["fields"], r["parcel_size"], r["parcel_angle"], r["reversal"]),
        ForeignGround(weight["foreign ground"]),
        Growth(weight["growth"]),
        BlobsAndLines(weight["blobs and lines"]),
        NewSun(weight["sun"], r["sun"]),
        Exposure(r["exposure"]),
        Staleness(r["stale"]),
        Stretch(r["gain"], r["offset"]),
        Optics(r["blur"], r["blur_aspect"]),
        DetectorJitter(r["jitter"], r["jitter_module"], r["jitter_rows"]),
        Haze(r["haze"]),
        Cloud(r["cloud"], r["shadow"]),
        SensorNoise(r["noise"], r["noise_floor"], r["grain"], r["grain_exponent"]),
        Stripes(r["stripes"], r["stripe_period"], r["stripe_rows"]),
        Counts(r["quantum"]),
    )
