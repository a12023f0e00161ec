"""Effects: streams of their own, records that are read or refused, one that a stranger adds."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage

from xsubpix.errors import DataError
from xsubpix.second_date import (
    EFFECTS,
    AcquisitionEffect,
    Cause,
    Conditions,
    Counts,
    DetectorJitter,
    GroundEffect,
    SecondDate,
    registry,
)

FLAT = json.loads((Path(__file__).parent / "flat_records.json").read_text())


@dataclasses.dataclass(frozen=True)
class Vignette(AcquisitionEffect):
    """Darker corners: the effect of a stranger, in a file of its own."""

    name = "vignette"

    depth: float

    @classmethod
    def draw(cls, rng, conditions):
        """Draw the depth."""
        return cls(rng.uniform(0.1, 0.5))

    def apply(self, image, statistics, rng):
        """Darkened image."""
        y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in image.shape)
        return image * (1 - np.float32(self.depth) * (y[:, None] ** 2 + x**2) / 2)


@dataclasses.dataclass(frozen=True)
class Flood(Cause):
    """Half of the image under water: a further cause."""

    name = "flood"
    shape = (0.5, 0.5)

    def apply(self, scene, rng):
        """A step."""
        field = np.zeros_like(scene.image)
        field[: len(field) // 2] = rng.normal()
        return field


def image(seed=0):
    """Rough ground in counts, 96 x 130 pixels."""
    noise = np.random.default_rng(seed).normal(size=(96, 130))
    return (100 + 300 * scipy.ndimage.gaussian_filter(noise, 1.5)).astype(np.float32)


def draw(seed=3, **options):
    """A second date of a seed."""
    return SecondDate.random(np.random.default_rng(seed), **options)


@pytest.mark.parametrize("toy", [Vignette, Flood])
@pytest.mark.parametrize("position", [0, 5, len(EFFECTS)])
def test_a_new_effect_is_a_class_and_a_line(monkeypatch, toy, position):
    """Else every new effect would change all draws, and break all seeds."""
    old = draw()
    with_line = (*EFFECTS[:position], toy, *EFFECTS[position:])
    monkeypatch.setattr(registry, "EFFECTS", with_line)
    new = draw()
    assert new.without(toy.name) == old
    assert new[toy.name] == toy.draw(*stream_and_conditions(new, toy))
    again = SecondDate.from_dict(json.loads(json.dumps(new.to_dict())))
    assert again == new
    post = new.apply(image())
    assert not np.array_equal(post, old.apply(image()))
    np.testing.assert_array_equal(again.apply(image()), post)


def stream_and_conditions(date, kind):
    """What the registry gives to a draw."""
    return registry.stream(date.seed, f"draw {kind.name}"), Conditions(date.correlation)


def test_new_acquisition_leaves_other_fields(monkeypatch):
    """Else clouds would move when somebody adds a vignette."""
    date = draw(cloudy=1.0)
    ground = date.change_surface(image())
    monkeypatch.setattr(registry, "EFFECTS", (*EFFECTS, Vignette))
    new = draw(cloudy=1.0)
    np.testing.assert_array_equal(new.change_surface(image()), ground)
    np.testing.assert_array_equal(
        new.with_effect(Vignette(0.0)).acquire(ground), date.acquire(ground)
    )


def test_unknown_effects_are_refused():
    """Else a record of tomorrow would silently make another image."""
    record = draw().to_dict()
    record["effects"].append({"effect": "vignette", "depth": 0.2})
    with pytest.raises(DataError, match=r"'vignette'.*known are mixing, .*haze.*counts"):
        SecondDate.from_dict(record)
    record["effects"][-1] = {"effect": "haze", "strength": 0.1, "colour": 3}
    with pytest.raises(DataError, match=r"'haze' has the parameters strength.*colour"):
        SecondDate.from_dict(record)
    record["effects"][-1] = {"effect": "haze"}
    with pytest.raises(DataError, match="gives none"):
        SecondDate.from_dict(record)
    record["effects"][-1] = {"strength": 0.1}
    with pytest.raises(DataError, match="unknown effect None"):
        SecondDate.from_dict(record)


def test_unknown_records_are_refused():
    """Else what a record lacks would be made up."""
    record = draw().to_dict()
    with pytest.raises(DataError, match="version 3; known are 1 and 2"):
        SecondDate.from_dict({**record, "version": 3})
    with pytest.raises(DataError, match="tint"):
        SecondDate.from_dict({**record, "tint": 0.1})
    with pytest.raises(DataError, match="missing or unknown: tint"):
        SecondDate.from_dict({**FLAT[0]["record"], "tint": 0.1})
    short = {key: value for key, value in FLAT[0]["record"].items() if key != "haze"}
    with pytest.raises(DataError, match="missing or unknown: haze"):
        SecondDate.from_dict(short)


def test_two_effects_of_one_name_are_refused():
    """Else both would draw the same random field."""
    date = draw()
    with pytest.raises(DataError, match="counts are given twice"):
        dataclasses.replace(date, effects=(*date.effects, Counts(0.1)))
    with pytest.raises(DataError, match="no effect 'frost'"):
        date.without("frost")


@pytest.mark.parametrize("case", FLAT, ids=range(len(FLAT)))
def test_flat_records_give_the_same_images(case, fields):
    """Else databases of before could not be made again from their tables."""
    bands = max(len(case["record"]["before_mix"]), 1)
    picture = fields((96, 130))[:bands]
    picture[:, 40:44, 60:70] = np.nan
    date = SecondDate.from_dict(case["record"])
    post = date.apply(picture if bands > 1 else picture[0])
    # The values are those of the version that wrote the record, but for the lines of
    # detectors, which it did not move far enough; the last digits are the
    # processor's, and where it rounds to counts one may fall to the other side.
    found, expected = post[5::17, 3::23].ravel()[:30], np.array(case["post"])
    step = date["counts"].quantum * np.nanstd(post)
    assert np.mean(np.isclose(found, expected, rtol=1e-5, atol=1e-3)) > 0.9
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2 * step)
    assert SecondDate.from_dict(date.to_dict()) == date


def test_every_effect_is_one_of_three_kinds():
    """Else a second date would not know when to apply it."""
    assert all(issubclass(kind, Cause | GroundEffect | AcquisitionEffect) for kind in EFFECTS)
    names = [kind.name for kind in EFFECTS]
    assert len(set(names)) == len(names)
    for kind in EFFECTS:
        assert dataclasses.fields(kind)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(draw()[kind.name], dataclasses.fields(kind)[0].name, 1.0)


@pytest.mark.parametrize("along_rows", [True, False])
def test_jitter_says_what_it_displaces(along_rows):
    """Else training would be told that jittered ground stands still."""
    y, x = np.mgrid[:96, :130].astype(np.float32)
    ramp = 3 * x + 5 * y
    jitter = DetectorJitter(0.1, 16, along_rows)
    date = dataclasses.replace(draw(), effects=(jitter,))
    dx, dy = date.displacement(ramp.shape)
    assert 0.02 < np.hypot(dx.std(), dy.std()) < 0.4
    assert abs(dx.mean()) < 1e-6
    assert abs(dy.mean()) < 1e-6
    assert not dataclasses.replace(date, effects=(Counts(0.1),)).displacement((40, 50)).any()
    assert not DetectorJitter(0.0).displacement((40, 50), np.random.default_rng(0)).any()
    # A pixel shows what was dx to the left and dy above: broad slopes and the finest detail.
    inner = np.s_[16:-16, 16:-16]
    moved = np.maximum(ramp - 3 * dx - 5 * dy, 0)
    np.testing.assert_allclose(date.acquire(ramp)[inner], moved[inner], atol=1e-3)

    def waves(x, y):
        return 10 + np.sin(2 * np.pi * x / 4) + np.sin(2 * np.pi * y / 5)

    found = date.acquire(waves(x, y).astype(np.float32))
    np.testing.assert_allclose(found[inner], waves(x - dx, y - dy)[inner], atol=0.01)
