"""Odd input gives a right result, a missing one or a clear error; never a wrong number."""

import importlib.util
import sys
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("hostile", Path(__file__).with_name("hostile.py"))
hostile = importlib.util.module_from_spec(_spec)
sys.modules["hostile"] = hostile
_spec.loader.exec_module(hostile)


@pytest.mark.parametrize("label", hostile.INPUTS)
def test_input(label):
    """A wrong number, or a traceback of another library, would be published or despaired of."""
    make, expected = hostile.INPUTS[label]
    found, words = hostile.outcome(make())
    assert found in expected, words
    if found == "refused":
        assert len(words) < 500
        assert "\n" not in words


@pytest.mark.parametrize("check", [hostile.threads_at_once, hostile.pickled_accessor])
def test_use(check):
    """Servers call from many threads; clusters pickle."""
    assert check()[0] == "right"


@pytest.mark.parametrize("named", [test for _, _, test in hostile.doors.FOUND])
def test_what_was_found_has_its_test(named):
    """Else the page promises what nothing keeps."""
    file, name = named.split("::")
    text = (Path(__file__).parent / file).read_text(encoding="utf-8")
    assert f"def {name}(" in text
