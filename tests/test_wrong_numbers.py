"""What gave a wrong number without a word is right now, or refused, or flagged."""

import importlib.util
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("label", wrong_numbers.PAIRS)
@pytest.mark.parametrize("model", wrong_numbers.MODELS)
def test_no_wrong_value_without_a_word(model, label):
    """Unflagged, and off by five sigma and half a pixel: it would be believed."""
    if model in ("dis", "deepflow", "tvl1"):
        pytest.importorskip("cv2")
    assert wrong_numbers.left_wrong(model, label) <= wrong_numbers.LEFT.get((model, label), 0.0)
