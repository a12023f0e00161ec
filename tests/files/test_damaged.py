"""Damaged images, full disks, places that cannot be written: said in words, nothing lost."""

import os
import subprocess
import sys

import dask.array as da
import numpy as np
import pytest
import rasterio
import xarray as xr

import xsubpix
from xsubpix.cli import main
from xsubpix.errors import FileError

PROFILE = {
    "driver": "GTiff", "width": 640, "height": 600, "count": 1, "dtype": "uint16",
    "crs": "EPSG:32611", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 4e6),
    "tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate",
}  # fmt: skip
OPTIONS = ["--model", "phase", "--window", "16", "--step", "8", "--quiet"]


@pytest.fixture(autouse=True)
def many_reads(monkeypatch):
    """Images in several reads, as scenes are."""
    monkeypatch.setattr("xsubpix.files.images.CHUNK", 256)


@pytest.fixture
def files(tmp_path, scene):
    full = scene((610, 650))
    full = np.round(1000 + 20 * full).astype(np.uint16)
    paths = [str(tmp_path / name) for name in ("pre.tif", "post.tif", "disp.tif")]
    for path, k in zip(paths, (4, 5), strict=False):
        with rasterio.open(path, "w", **PROFILE) as out:
            out.write(full[k : k + 600, k : k + 640], 1)
    return paths


def damage(path, row=4, col=4):
    """Turn bytes of one deflated tile around; the file's dates stay. Returns what was there."""
    with rasterio.open(path) as file:
        offset = int(file.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=1))
        size = int(file.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=1))
    stat = os.stat(path)
    with open(path, "rb") as file:
        whole = file.read()
    at = offset + size // 2
    broken = whole[:at] + bytes(255 - b for b in whole[at : at + 40]) + whole[at + 40 :]
    with open(path, "wb") as file:
        file.write(broken)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return whole, stat


def test_a_damaged_tile_is_named_and_mended(files, tmp_path, capsys):
    """Else there is a hole in the field, or a night's work ends in GDAL's words."""
    whole, stat = damage(files[1])
    assert main(["correlate", *files, *OPTIONS]) == 2
    message = capsys.readouterr().err.strip()
    assert f"cannot read {files[1]}" in message
    assert "rows 512 to 639, columns 512 to 639 is damaged" in message
    assert "Get the file anew" in message
    assert "\n" not in message
    assert not os.path.exists(files[2])
    journal = (tmp_path / ".disp.tif.journal").read_text()
    # The file as it was, dates and all: what was finished is not computed again.
    with open(files[1], "wb") as file:
        file.write(whole)
    os.utime(files[1], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert main(["correlate", *files, *OPTIONS]) == 0
    assert len(journal.splitlines()) > 2
    assert sorted(os.listdir(tmp_path)) == ["disp.tif", "post.tif", "pre.tif"]
    eager = (rasterio.open(path).read(1) for path in files[:2])
    pre, post = (xr.DataArray(pixels, dims=("y", "x")) for pixels in eager)
    ref = xsubpix.correlate(pre, post, model="phase", window=16, step=8)
    with rasterio.open(files[2]) as out:
        np.testing.assert_allclose(out.read(1), 10 * ref.east, rtol=1e-5)


def test_a_changed_image_is_begun_anew(files, tmp_path):
    """Else half of the field is of the image that came before."""
    whole, _ = damage(files[1])
    assert main(["correlate", *files, *OPTIONS]) == 2
    token = (tmp_path / ".disp.tif.journal").read_text().splitlines()[1]
    with open(files[1], "wb") as file:
        file.write(whole)
    os.utime(files[1], (1e9, 1e9))
    with rasterio.open(files[0]) as pre:
        expected = pre.shape
    assert main(["correlate", *files, *OPTIONS]) == 0
    assert token not in os.listdir(tmp_path)
    with rasterio.open(files[2]) as out:
        assert out.shape == (expected[0] // 8, expected[1] // 8)
        assert np.isfinite(out.read(1)).all()


@pytest.mark.parametrize("resume", [True, False])
def test_damage_under_the_api(files, tmp_path, resume):
    """Else whoever computes in a notebook does not learn which of two files it is."""
    damage(files[0], 0, 1)
    disp = xsubpix.correlate(
        *(xsubpix.open_image(path) for path in files[:2]), model="phase", window=16, step=8
    )
    with pytest.raises(FileError, match=r"pre\.tif: the tile of rows 0 to 127, columns 128"):
        disp.compute()
    with pytest.raises(FileError, match=r"pre\.tif: the tile"):
        xsubpix.to_cog(disp, files[2], resume=resume)
    assert not os.path.exists(files[2])


def test_files_that_are_cut(files):
    """Else the rest of a download that broke off is an error without a name, or a hole."""
    with open(files[1], "r+b") as file:
        file.truncate(os.path.getsize(files[1]) - 4000)
    image = xsubpix.open_image(files[1])
    with pytest.raises(FileError, match=r"cannot read .*post\.tif"):
        image.compute()


@pytest.mark.parametrize("kind", [{}, {"compress": "lzw"}, {"sparse_ok": True}, {"count": 3}])
def test_whole_files_pass(tmp_path, kind):
    """Else a check for damage keeps people from their images."""
    path, pixels = tmp_path / "a.tif", np.arange(600 * 640, dtype="u2").reshape(600, 640)
    pixels[:128, :128] = 0
    profile = {**PROFILE, **kind}
    with rasterio.open(path, "w", **profile) as out:
        for band in range(1, profile["count"] + 1):
            out.write(pixels * band, band)
    image = xsubpix.open_image(path, band=profile["count"])
    np.testing.assert_array_equal(image, pixels * profile["count"])


def test_errors_of_reading_are_not_errors_of_writing(tmp_path):
    """Else the place to write is blamed for an image that another library cannot read."""
    import rasterio.errors

    def read(block):
        cause = rasterio.errors.RasterioIOError("pre.tif, band 1: IReadBlock failed")
        raise rasterio.errors.RasterioIOError("See previous exception") from cause

    data = da.zeros((80, 80), chunks=40, dtype="f4").map_blocks(read, meta=np.empty((0, 0), "f4"))
    field = xr.Dataset({"east": (("y", "x"), data)})
    for resume in (True, False):
        with pytest.raises(FileError, match=r"cannot read what the field is computed from: pre"):
            xsubpix.to_cog(field, tmp_path / "d.tif", resume=resume)
        assert not os.path.exists(tmp_path / "d.tif")


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
from xsubpix.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_no_room_for_the_file(files, tmp_path):
    """Else a disk that is full leaves half a file under the final name, or ends in a traceback."""
    # 75 x 80 values of five bands take 120 kB.
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, "20000", "correlate", *files, *OPTIONS],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 2, run.stderr
    assert f"cannot write {files[2]}" in run.stderr
    assert "120000 are needed" in run.stderr
    assert "Traceback" not in run.stderr
    assert sorted(os.listdir(tmp_path)) == ["post.tif", "pre.tif"]


def test_no_room_for_the_copy(files, tmp_path, monkeypatch, capsys):
    """Else what was computed is lost where the last step, the copy to a COG, finds no room."""

    def full(*arguments, **options):
        raise Exception("TIFFAppendToStrip:Write error at scanline 0")

    with monkeypatch.context() as patch:
        patch.setattr("rasterio.shutil.copy", full)
        assert main(["correlate", *files, *OPTIONS]) == 2
    message = capsys.readouterr().err
    assert f"cannot write {files[2]}: TIFFAppendToStrip" in message
    assert "goes on from there" in message
    assert not os.path.exists(files[2])
    # Nothing is measured again.
    monkeypatch.setattr(sys.modules["xsubpix.correlate"]._Measure, "__call__", None)
    assert main(["correlate", *files, *OPTIONS]) == 0
    with rasterio.open(files[2]) as out:
        assert np.isfinite(out.read(1)).all()
        assert out.descriptions[0] == "east"
        assert out.tags()["model"] == "phase"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder nobody can write")
@pytest.mark.parametrize("resume", [True, False])
def test_read_only_folder(resume):
    """Else the error comes after the work, or is Python's own."""
    made = []

    def values(block):
        made.append(1)
        return block

    data = da.zeros((80, 80), chunks=40, dtype="f4")
    field = xr.Dataset({"east": (("y", "x"), data.map_blocks(values, meta=np.empty((0, 0), "f4")))})
    with pytest.raises(FileError, match=r"cannot write /proc/self/d\.tif"):
        xsubpix.to_cog(field, "/proc/self/d.tif", resume=resume)
    assert made == []
