"""The summary: what it says, and that it computes nothing lazy."""

import numpy as np
import pytest

import xsubpix


def test_what_it_says(field):
    """Else a table shows numbers of something else."""
    rng = np.random.default_rng(0)
    east, north = rng.normal(3.0, 0.5, (2, 50, 60))
    east[:10] = np.nan
    flags = np.zeros((50, 60), np.uint8)
    flags[:5] = 2
    disp = field(east, north, sigma=np.full((50, 60), 0.4, "f4"), flags=flags)
    disp.flags.attrs = {"flag_masks": np.array([1, 2], np.uint8), "flag_meanings": "edge doubt"}
    disp = disp.assign_attrs(model="phase").assign_coords(
        reference_time=np.datetime64("2020-01-02", "ns")
    )
    got = disp.subpix.mask(sigma=1.0).subpix.summary()
    assert got.statistics["east"]["valid"] == pytest.approx(0.8)
    assert got.statistics["north"]["median"] == pytest.approx(3.0, abs=0.05)
    assert got.statistics["north"]["nmad"] == pytest.approx(0.5, abs=0.05)
    assert got.statistics["east"]["sigma"] == pytest.approx(0.4)
    assert got.flags == {"edge": 0.0, "doubt": 0.1}
    text, page = repr(got), got._repr_html_()
    for word in ("50 x 60 pixels of 20 m", "EPSG:32611", "phase", "2020-01-02", "sigma < 1"):
        assert word in text
    assert "80.0%" in text
    assert "doubt 10.0%" in text
    assert page.count("<table>") == 3
    assert "sigma &lt; 1" in page


def test_lazy_and_empty_fields(field):
    """Else a scene is computed for a table, or an empty field raises."""
    disp = field(np.full((20, 20), np.nan))
    assert np.isnan(xsubpix.summary(disp).statistics["east"]["median"])
    assert "-" in repr(xsubpix.summary(disp))
    lazy = xsubpix.summary(disp.chunk(5))
    assert not lazy.statistics
    assert "lazy" in repr(lazy)
