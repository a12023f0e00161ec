"""Registry of the effects, in the order in which they are applied."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..errors import DataError
from .atmosphere import Cloud, Haze
from .effects import Conditions, Effect, stream
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

__all__ = ["EFFECTS", "draw_effects", "effect_from_dict"]

#: All effects, each a line; records name them, and a second date applies them in this order.
EFFECTS: tuple[type[Effect], ...] = (
    BandMixing,
    LandCoverChange,
    FieldChange,
    ForeignGround,
    Growth,
    BlobsAndLines,
    NewSun,
    Exposure,
    Staleness,
    Stretch,
    Optics,
    DetectorJitter,
    Haze,
    Cloud,
    SensorNoise,
    Stripes,
    Counts,
)


def draw_effects(seed: int, conditions: Conditions) -> tuple[Effect, ...]:
    """Draw every effect of the registry, each from a stream of its own name.

    Parameters
    ----------
    seed : int
        Seed of the second date.
    conditions : Conditions
        Correlation aimed at, number of bands, days.
    """
    return tuple(kind.draw(stream(seed, f"draw {kind.name}"), conditions) for kind in EFFECTS)


def effect_from_dict(record: Mapping[str, Any]) -> Effect:
    """Rebuild the effect that :meth:`Effect.to_dict` described.

    Parameters
    ----------
    record : mapping
        ``effect``, the name, and the parameters.

    Raises
    ------
    DataError
        The effect is unknown, or its parameters are not those of the record.

    Examples
    --------
    >>> effect_from_dict({"effect": "haze", "strength": 0.2})
    Haze(strength=0.2)
    >>> effect_from_dict({"effect": "frost", "depth": 1.0})
    Traceback (most recent call last):
        ...
    xsubpix.errors.DataError: unknown effect 'frost' in the record of a second date; known are ...
    """
    known = {kind.name: kind for kind in EFFECTS}
    name = record.get("effect")
    if name not in known:
        raise DataError(
            f"unknown effect {name!r} in the record of a second date; known are "
            f"{', '.join(known)}. Read it with the version of xsubpix that wrote it."
        )
    kind = known[name]
    values = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in record.items()
        if key != "effect"
    }
    fields = {field.name: field for field in dataclasses.fields(kind)}
    required = {key for key, field in fields.items() if field.default is dataclasses.MISSING}
    if not required <= set(values) <= set(fields):
        raise DataError(
            f"effect {name!r} has the parameters {', '.join(fields)}, and the record gives "
            f"{', '.join(values) or 'none'}. Read it with the version of xsubpix that wrote it."
        )
    return kind(**values)
