"""What gave a wrong number without a word is right now, or refused, or flagged."""

import importlib.util
import sys
from pathlib import Path

import pytest

import xsubpix

_path = Path(__file__).with_name("wrong_numbers.py")
_spec = importlib.util.spec_from_file_location("wrong_numbers", _path)
wrong_numbers = importlib.util.module_from_spec(_spec)
sys.modules["wrong_numbers"] = wrong_numbers
_spec.loader.exec_module(wrong_numbers)


@pytest.mark.parametrize("label", wrong_numbers.CASES)
def test_case(label):
    """It would be published."""
    make, expected = wrong_numbers.CASES[label]
    found, words = wrong_numbers.outcome(make)
    assert found == expected, words
    assert "\n" not in words


@pytest.mark.parametrize(
    ("model", "label"),
    [
        (model, label)
        for model in xsubpix.available_models()
        for label in wrong_numbers.PAIRS
        if model in wrong_numbers.QUICK or label in wrong_numbers.TELLING
    ],
)
def test_no_wrong_value_without_a_word(model, label):
    """Unflagged, and off by five sigma and half a pixel: it would be believed."""
    assert wrong_numbers.left_wrong(model, label) == 0.0


@pytest.mark.parametrize(
    ("model", "label"),
    [("micmac", "45 % missing at random"), ("micmac", "every third row missing")],
)
def test_what_is_filled_in_is_uncertain(model, label):
    """`micmac` was 0.2 px off among missing pixels, and said 0.01."""
    assert wrong_numbers.left_wrong(model, label) == 0.0
