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
