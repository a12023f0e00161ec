"""Damaged files of every kind: a right result or one error of the package, never more."""

import faulthandler
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "mutations", Path(__file__).with_name("mutations.py")
)
mutations = importlib.util.module_from_spec(_spec)
sys.modules["mutations"] = mutations
_spec.loader.exec_module(mutations)

# What needs an extra, and how many in a test run: some seconds each.
NEEDS = {"zarr": "zarr", "geopackage": "geopandas", "netcdf": "netCDF4"}
NUMBER = 100
# Stores are folders that are copied each time.
FEWER = {"zarr": 25}


def check_in_a_process(kind, number):
    """Mutate files in processes of their own: the libraries of NetCDF crash on some."""
    run = subprocess.run(
        [sys.executable, mutations.__file__, str(number), kind],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{kind}: {{" in run.stdout


@pytest.mark.parametrize("kind", mutations.KINDS)
def test_mutations(kind):
    """If it failed, a damaged download would be a traceback, a hang, or a wrong number."""
    if kind in NEEDS:
        pytest.importorskip(NEEDS[kind])
    number = FEWER.get(kind, NUMBER)
    if kind == "netcdf":
        check_in_a_process(kind, number)
        return
    found = list(mutations.outcomes(kind, number))
    wrong = [f"{k}: {words}" for k, words in found if words not in ("right", "refused")]
    assert wrong == []
    assert len(found) == number


def test_the_guard_sees_what_it_forbids(tmp_path):
    """Else it passes because it reads nothing."""

    def broken(path):
        raise KeyError("east")

    whole = mutations.make_toml(tmp_path)
    assert "KeyError" in mutations._one(broken, whole, None, False)
    assert mutations._one(mutations.read_toml, whole, None, False) == "right"


def test_the_guard_ends_a_wait(tmp_path, monkeypatch):
    """Else a hang of a reader hangs the guard."""
    monkeypatch.setattr(mutations, "LONGEST", 1)
    whole = mutations.make_toml(tmp_path)
    assert "TimeoutError" in mutations._one(lambda path: time.sleep(60), whole, None, False)


def ending(connection, kind, number, first):
    """End as a library that crashes on the third mutation."""
    faulthandler.disable()
    for k in range(first, number):
        if k == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        connection.send((k, "refused"))


def test_a_crash_is_counted_and_the_next_mutation_follows(monkeypatch):
    """Else one crash of HDF5 ends the guard, and nothing is known of the others."""
    monkeypatch.setattr(mutations, "_send_outcomes", ending)
    fork = mutations.multiprocessing.get_context("fork")
    monkeypatch.setattr(mutations.multiprocessing, "get_context", lambda method: fork)
    assert mutations.counted("netcdf", 5) == ({"refused": 4, "crashed in a library": 1}, [])
    count, wrong = mutations.counted("toml", 5)
    assert count == {"refused": 4}
    assert wrong == ["toml 2: the process ended with exit code -11"]
