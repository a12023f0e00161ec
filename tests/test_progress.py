"""Progress where a person waits, and nothing elsewhere."""

import sys

import numpy as np
import pytest

import xsubpix
from xsubpix.progress import is_watched


@pytest.fixture
def terminal(monkeypatch, capsys):
    """Standard error that a person looks at; a function that returns what was shown."""
    monkeypatch.setattr("xsubpix.progress.is_watched", lambda: True)
    return lambda: capsys.readouterr().err


@pytest.fixture
def pair(scene, utm):
    return utm(scene((300, 72))), utm(scene((300, 72), (1.0, 0.0)))


MODEL = {"model": "phase", "window": 16, "step": 8}


def test_eager_correlate_shows_a_bar(pair, terminal, identical):
    """Else minutes pass without a sign, or the result depends on the bar."""
    silent = xsubpix.correlate(*pair, **MODEL)
    assert terminal() == ""
    shown = xsubpix.correlate(*pair, **MODEL, progress=True)
    assert "100% Completed" in terminal()
    identical(silent, shown)


def test_terminals_are_watched(monkeypatch):
    """Else there is no bar where one is wanted."""
    assert not is_watched()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert is_watched()


def test_no_bar_in_a_file(pair, tmp_path, capsys):
    """Else a batch job's log fills with bars."""
    disp = xsubpix.correlate(*pair, **MODEL, progress=True)
    xsubpix.to_cog(disp.chunk(y=8), tmp_path / "a.tif", progress=True)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


@pytest.mark.parametrize("resume", [False, True])
def test_writing_shows_a_bar(pair, tmp_path, terminal, resume):
    """Else the long part, computing while writing, has none."""
    disp = xsubpix.correlate(pair[0].chunk(), pair[1].chunk(), **MODEL)
    assert terminal() == ""
    xsubpix.to_cog(disp, tmp_path / "a.tif", resume=resume, progress=True)
    shown = terminal()
    assert "100% Completed" in shown
    assert "resuming" not in shown


def test_what_is_there_after_a_stop(pair, tmp_path, capsys, stopped_after):
    """Else nobody knows if a stopped command goes on or begins again."""
    disp = xsubpix.correlate(pair[0].chunk(), pair[1].chunk(), **MODEL)
    chunked = disp.chunk(y=9, x=9)
    with stopped_after(3):
        xsubpix.to_cog(chunked, tmp_path / "a.tif", resume=True)
    total = chunked.east.data.npartitions
    capsys.readouterr()
    xsubpix.to_cog(chunked, tmp_path / "a.tif", resume=True, progress=True)
    assert capsys.readouterr().err == f"resuming: 3 of {total} blocks are there\n"
    back = xsubpix.open_displacement(tmp_path / "a.tif")
    np.testing.assert_array_equal(back.east, disp.east)
