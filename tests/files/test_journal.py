"""Writing that survives a kill: finished blocks are kept, and never made again."""

import dask.array as da
import numpy as np
import pytest
import rasterio
import xarray as xr

import xsubpix
from xsubpix.errors import FileError


class Stop(Exception):
    pass


class Source:
    """Values of a block, counted; raises after as many as it is told to."""

    def __init__(self, stop_after=None):
        self.made, self.stop_after = [], stop_after

    def __call__(self, block_info=None):
        place = block_info[None]["chunk-location"]
        if self.stop_after is not None and len(self.made) >= self.stop_after:
            raise Stop
        self.made.append(place)
        rows, cols = (slice(a, b) for a, b in block_info[None]["array-location"])
        y, x = np.mgrid[rows, cols]
        return (y + x / 1000).astype(np.float32)

    def __dask_tokenize__(self):
        return "source"


def field(source, name="one", chunks=((40, 40, 20), (30, 30, 10))):
    meta = np.empty((0, 0), np.float32)
    east = da.map_blocks(source, chunks=chunks, dtype="f4", name=f"{name}-east", meta=meta)
    coords = {"y": 10.0 * np.arange(100)[::-1], "x": 10.0 * np.arange(70)}
    disp = xr.Dataset({"east": (("y", "x"), east), "north": (("y", "x"), -east)}, coords)
    return disp.rio.write_crs("EPSG:32633")


def test_what_failed_before_a_block_was_finished_leaves_nothing(tmp_path):
    """A model with a typo left two hidden files as large as the result."""
    for resume in (True, False):
        with pytest.raises(Stop):
            xsubpix.to_cog(field(Source(0)), tmp_path / "disp.tif", resume=resume)
        assert list(tmp_path.iterdir()) == []


def test_finished_blocks_are_not_made_again(tmp_path):
    """A night's work would be begun anew after a power cut."""
    source, path = Source(6), tmp_path / "disp.tif"
    with pytest.raises(Stop):
        xsubpix.to_cog(field(source), path, resume=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".disp.tif.journal", ".disp.tif.partial"]
    made = set(source.made)
    journal = (tmp_path / ".disp.tif.journal").read_text()
    assert journal.count("\n") >= 2 + len(made) - 3
    source.stop_after, source.made = None, []
    xsubpix.to_cog(field(source), path, resume=True)
    named = {tuple(map(int, line.split())) for line in journal.splitlines()[2:]}
    assert len(named) > 0
    assert set(source.made) == {(i, j) for i in range(3) for j in range(3)} - named
    assert [p.name for p in tmp_path.iterdir()] == ["disp.tif"]
    with rasterio.open(path) as out:
        y, x = np.mgrid[:100, :70]
        np.testing.assert_array_equal(out.read(1), (y + x / 1000).astype(np.float32))
        np.testing.assert_array_equal(out.read(2), -out.read(1))
        assert out.descriptions == ("east", "north")
        assert out.crs == "EPSG:32633"
        assert out.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_equal_to_writing_at_once(tmp_path):
    """Two ways of writing must not give two files."""
    for name, resume in (("a.tif", True), ("b.tif", False)):
        xsubpix.to_cog(field(Source()), tmp_path / name, resume=resume)
    with rasterio.open(tmp_path / "a.tif") as a, rasterio.open(tmp_path / "b.tif") as b:
        np.testing.assert_array_equal(a.read(), b.read())
        assert str(a.profile) == str(b.profile)
        assert a.tags() == b.tags()


def test_other_work_is_not_gone_on_with(tmp_path):
    """Half of one field and half of another would be a file."""
    source, path = Source(6), tmp_path / "disp.tif"
    with pytest.raises(Stop):
        xsubpix.to_cog(field(source), path, resume=True)
    other = Source()
    xsubpix.to_cog(field(other, "two"), path, resume=True)
    assert len(set(other.made)) == 9


def test_cut_journal_line_is_not_believed(tmp_path):
    """A block that was being noted when the power went may not be there."""
    source, path = Source(7), tmp_path / "disp.tif"
    with pytest.raises(Stop):
        xsubpix.to_cog(field(source), path, resume=True)
    journal = tmp_path / ".disp.tif.journal"
    text = journal.read_text()
    journal.write_text(text.rstrip("\n"))
    last = tuple(map(int, text.split("\n")[-2].split()))
    source.stop_after, source.made = None, []
    xsubpix.to_cog(field(source), path, resume=True)
    assert last in source.made


def test_full_disk_is_said_before_the_work(tmp_path, monkeypatch):
    """Hours of work would end in an error, or in a file with holes."""
    import os

    real = os.statvfs(tmp_path)

    class Full:
        f_bavail, f_frsize = 2, 4096

    monkeypatch.setattr(os, "statvfs", lambda path: Full)
    source = Source()
    with pytest.raises(FileError, match="make room"):
        xsubpix.to_cog(field(source), tmp_path / "disp.tif", resume=True)
    assert source.made == []
    assert not (tmp_path / "disp.tif").exists()
    monkeypatch.setattr(os, "statvfs", lambda path: real)


def test_write_errors_keep_what_is_finished(tmp_path, monkeypatch):
    """A disk that fills up meanwhile must not end in a hole, nor cost what was done."""
    import errno
    import os

    write, calls = os.pwrite, []

    def failing(*arguments):
        calls.append(1)
        if len(calls) > 300:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(*arguments)

    monkeypatch.setattr(os, "pwrite", failing)
    with pytest.raises(FileError, match="goes on from there"):
        xsubpix.to_cog(field(Source()), tmp_path / "disp.tif", resume=True)
    assert not (tmp_path / "disp.tif").exists()
    monkeypatch.setattr(os, "pwrite", write)
    source = Source()
    xsubpix.to_cog(field(source), tmp_path / "disp.tif", resume=True)
    assert 0 < len(set(source.made)) < 9


def test_two_writers_are_refused(tmp_path):
    """Two processes would mix their blocks."""
    import fcntl

    (tmp_path / ".disp.tif.journal").touch()
    with (tmp_path / ".disp.tif.journal").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(FileError, match="another process"):
            xsubpix.to_cog(field(Source()), tmp_path / "disp.tif", resume=True)
    xsubpix.to_cog(field(Source()), tmp_path / "disp.tif", resume=True)
