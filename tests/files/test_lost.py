"""Nothing is lost: inputs are never replaced, other files only when that is asked for."""

import importlib.util
import json
import os
import stat
import subprocess
import sys

import numpy as np
import pytest
import rasterio
import rioxarray
import xarray as xr

import xsubpix
from xsubpix.cli import main
from xsubpix.errors import FileError
from xsubpix.files.writing import new_target

OPTIONS = ["--model", "phase", "--window", "16", "--step", "8", "--quiet"]


@pytest.fixture
def files(tmp_path, utm, scene, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, k in (("pre.tif", 4), ("post.tif", 5)):
        utm(scene((90, 100))[k : k + 80, k : k + 80]).rio.to_raster(tmp_path / name)
    return tmp_path


def lazy(files, opened=xsubpix.open_image):
    images = [opened(files / name) for name in ("pre.tif", "post.tif")]
    return xsubpix.correlate(*images, model="phase", window=16, step=8)


def names_of(path):
    """One file under the names that one can give it."""
    os.symlink(path, "link.tif")
    os.link(path, "hard.tif")
    return [path, "pre.tif", "./pre.tif", "link.tif", "hard.tif"]


def test_no_output_is_an_input(files, capsys):
    """Else ``xsubpix correlate *.tif`` replaces the third image, exit code 0."""
    before = (files / "pre.tif").read_bytes()
    for out in names_of(files / "pre.tif"):
        for more in ([], ["--overwrite"]):
            command = ["correlate", "pre.tif", "post.tif", str(out), *OPTIONS, *more]
            assert main(command) == 2
            assert "it is read" in capsys.readouterr().err
    assert (files / "pre.tif").read_bytes() == before
    assert sorted(p.name for p in files.iterdir()) == [
        "hard.tif", "link.tif", "post.tif", "pre.tif",
    ]  # fmt: skip


@pytest.mark.parametrize("opened", ["ours", "rioxarray", "unlocked"])
@pytest.mark.parametrize("write", ["to_cog", "to_cosi_corr"])
def test_no_field_over_the_image_it_reads(files, opened, write):
    """Else a lazy image is gone before it is read."""
    how = {
        "ours": xsubpix.open_image,
        "rioxarray": lambda p: rioxarray.open_rasterio(p, chunks={"x": 40}).squeeze(drop=True),
        "unlocked": lambda p: rioxarray.open_rasterio(p, chunks={}, lock=False).isel(band=0),
    }[opened]
    disp = lazy(files, how)
    for name in names_of(files / "pre.tif"):
        with pytest.raises(FileError, match="it is read"):
            getattr(disp.subpix, write)(name, overwrite=True)
    # Once computed, it may: that was asked for.
    getattr(disp.compute().subpix, write)("pre.tif", overwrite=True)
    assert "east" in xsubpix.open_displacement("pre.tif")


def test_no_netcdf_over_the_one_it_reads(files):
    """Else a field that is cleaned and saved under its own name is destroyed."""
    lazy(files).subpix.to_netcdf("disp.nc")
    disp = xsubpix.open_displacement("disp.nc")
    with pytest.raises(FileError, match="it is read"):
        disp.subpix.to_netcdf("disp.nc", overwrite=True)
    with pytest.raises(FileError, match="it is read"):
        disp.subpix.detrend().subpix.to_netcdf("disp.nc", overwrite=True)
    assert np.isfinite(disp.east).any()


def written(disp, path, **more):
    """Write a field, or what is made from one, as a name asks."""
    if path.endswith(".html"):
        pytest.importorskip("bokeh")
        return xsubpix.explore(disp).save(path, **more)
    if path.endswith(".geojson"):
        line = [(float(disp.x[1]), float(disp.y[4])), (float(disp.x[-2]), float(disp.y[4]))]
        return xsubpix.to_points(xsubpix.profile(disp, line, width=200.0), path, **more)
    writers = {".tif": xsubpix.to_cog, ".nc": xsubpix.to_netcdf, ".dat": xsubpix.to_cosi_corr}
    return writers[os.path.splitext(path)[1]](disp, path, **more)


KINDS = ["out.tif", "out.nc", "out.dat", "out.geojson", "out.html"]


@pytest.mark.parametrize("name", KINDS)
def test_an_existing_file_is_kept_unless_asked(files, name):
    """Else a slip of the pen costs a night's work."""
    disp = lazy(files).compute()
    path = files / name
    path.write_bytes(b"precious")
    path.chmod(0o640)
    with pytest.raises(FileError, match=r"exists.*overwrite=True.*--overwrite"):
        written(disp, name)
    assert path.read_bytes() == b"precious"
    written(disp, name, overwrite=True)
    assert path.read_bytes() != b"precious"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.name != "posix", reason="links, pipes and permissions of POSIX")
@pytest.mark.parametrize("name", KINDS)
def test_outputs_that_are_no_plain_files(files, name):
    """Else a device or a pipe is replaced by a file, or a link while its target stays old."""
    disp = lazy(files).compute()
    suffix = os.path.splitext(name)[1]
    os.mkfifo(f"pipe{suffix}")
    with pytest.raises(FileError, match="device or a pipe"):
        written(disp, f"pipe{suffix}", overwrite=True)
    assert stat.S_ISFIFO(os.stat(f"pipe{suffix}").st_mode)
    (files / "far").mkdir()
    os.symlink(f"far/there{suffix}", f"link{suffix}")
    before = os.umask(0o027)
    try:
        written(disp, f"link{suffix}")
    finally:
        os.umask(before)
    assert os.path.islink(f"link{suffix}")
    there = files / "far" / f"there{suffix}"
    assert there.stat().st_size > 0
    assert stat.S_IMODE(there.stat().st_mode) == 0o640
    assert {p.name.split(".")[0] for p in (files / "far").iterdir()} == {"there"}


@pytest.mark.parametrize("write", [xsubpix.to_cog, xsubpix.to_netcdf, xsubpix.to_cosi_corr])
def test_folders_are_no_outputs(files, write):
    """`.` as an output was a traceback."""
    disp = lazy(files).compute()
    for folder in (".", "..", os.fspath(files), ""):
        with pytest.raises(FileError, match="it is a folder"):
            write(disp, folder, overwrite=True)


def test_hidden_files_follow_no_links(files):
    """Else whoever can write a folder chooses which file is overwritten."""
    (files / "victim").write_text("precious")
    for name in (".out.tif.journal", ".out.tif.partial", ".out.tif.cog"):
        os.symlink(files / "victim", name)
    with pytest.raises(FileError, match="cannot write"):
        lazy(files).subpix.to_cog("out.tif", resume=True)
    os.unlink(".out.tif.journal")
    lazy(files).subpix.to_cog("out.tif", resume=True)
    assert (files / "victim").read_text() == "precious"


@pytest.mark.parametrize(
    ("write", "name"),
    [
        ("to_cog", "out.png"), ("to_cog", "out.nc"), ("to_cog", "out"), ("to_netcdf", "out.tif"),
        ("to_cosi_corr", "out.png"), ("to_cosi_corr", "out.hdr"),
    ],
)  # fmt: skip
def test_names_of_other_formats(files, write, name):
    """Else a GeoTIFF is called out.png, and nothing that takes names at their word opens it."""
    with pytest.raises(FileError, match="this format has"):
        getattr(lazy(files).subpix, write)(name)
    assert not (files / name).exists()


def test_command_line_refuses_other_formats_and_existing_files(files, capsys):
    """Else the answer comes after an hour, or never."""
    command = ["correlate", "pre.tif", "post.tif"]
    assert main([*command, "out.nc", *OPTIONS]) == 2
    assert "'.nc'" in capsys.readouterr().err
    assert main([*command, "out.tif", *OPTIONS]) == 0
    assert main([*command, "out.tif", *OPTIONS]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, "out.tif", *OPTIONS, "--overwrite"]) == 0
    assert sorted(p.name for p in files.iterdir()) == ["out.tif", "post.tif", "pre.tif"]


def test_a_header_is_a_file_too(files):
    """Else an image loses the header that it is read by."""
    (files / "pre.hdr").write_text("ENVI")
    with pytest.raises(FileError, match=r"pre\.hdr: it exists"):
        lazy(files).subpix.to_cosi_corr("pre.dat")


def test_stopped_before_clearing_up(files):
    """Else the same command, given again after a kill, says that its own result is in the way."""
    disp = lazy(files)
    kept = {}

    def copied(self, keep_journal=False):
        kept.update({p.name: p.read_bytes() for p in (self.path, self.journal)})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("xsubpix.files.journal.BlockFile.remove", copied)
        disp.subpix.to_cog("out.tif", resume=True)
    assert set(kept) == {".out.tif.partial", ".out.tif.journal"}
    for name, content in kept.items():
        (files / name).write_bytes(content)
    disp.subpix.to_cog("out.tif", resume=True)
    assert sorted(p.name for p in files.iterdir()) == ["out.tif", "post.tif", "pre.tif"]
    with pytest.raises(FileError, match="it exists"):
        disp.subpix.to_cog("out.tif", resume=True)


def test_an_input_of_another_place_is_no_hindrance(tmp_path):
    """Else a name on a server counts as a file here."""
    target = new_target(tmp_path / "a.tif", False, (".tif",), sources=["https://example.org/a.tif"])
    assert target == tmp_path / "a.tif"


# ------------------------------------------------------------------------- full disks

LIMITED = """
import json, os, resource, signal, sys
import numpy as np, rioxarray, xarray as xr, xsubpix
rng = np.random.default_rng(0)
values = {n: rng.normal(size=(600, 700)).astype("f4") for n in ("east", "north", "quality")}
coords = {"y": 10.0 * np.arange(600), "x": 10.0 * np.arange(700)}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
need = 4 * 3 * 600 * 700
for name, kind in json.loads(sys.argv[1]):
    if name.endswith(".nc"):
        import netCDF4  # before the limit
    disp = xr.Dataset({n: (("y", "x"), v) for n, v in values.items()}, coords)
    disp = disp.rio.write_crs(32611)
    disp = disp.chunk(256) if kind == "lazy" else disp
    writers = {".tif": xsubpix.to_cog, ".nc": xsubpix.to_netcdf, ".dat": xsubpix.to_cosi_corr}
    write = writers[os.path.splitext(name)[1]]
    more = {"resume": True} if name.endswith("tif") and kind == "lazy" else {}
    for room in (1_000, need // 2, need - 1, need + 60_000, int(1.25 * need), 3 * need):
        with open(name, "wb") as file:
            file.write(b"precious")
        said = ""
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        try:
            write(disp, name, overwrite=True, **more)
        except xsubpix.FileError as error:
            said = str(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        if said:
            right = open(name, "rb").read() == b"precious"
        else:
            with xsubpix.open_displacement(name) as back:
                right = bool((back.east.values == values["east"]).all())
        print(json.dumps([name, kind, room / need, said, right, sorted(os.listdir("."))]))
        os.path.exists("out.hdr") and os.unlink("out.hdr")
    os.unlink(name)
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    """Else an unreadable file stands in place of a good one, and the exit code is 0."""
    cases = [("out.tif", "lazy"), ("out.tif", "eager"), ("out.dat", "eager")]
    if importlib.util.find_spec("netCDF4"):
        cases.append(("out.nc", "eager"))
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, json.dumps(cases)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(found) == 6 * len(cases)
    for name, kind, room, said, right, left in found:
        assert right, (name, kind, room, said)
        if room < 0.6 or room == 3:  # between, compressed files fit or do not
            assert bool(said) == (room < 0.6), (name, kind, room, said)
        assert not said or "cannot write" in said
        kept = {".out.tif.partial", ".out.tif.journal"} if kind == "lazy" and room > 1 else set()
        assert set(left) <= {name, "out.hdr"} | kept, (name, kind, room, left)
        if kept and said:  # the copy alone found no room: what was computed is there
            assert "goes on from there" in said
            assert kept <= set(left)


def test_a_raster_that_was_cut_is_noticed(files):
    """Else what is checked after writing is the directory alone."""
    from xsubpix.files.verifying import check_written

    lazy(files).compute().subpix.to_cog("out.tif")
    with rasterio.open("out.tif") as out:
        shape, count = out.shape, out.count
    check_written(files / "out.tif", count, shape)
    size = os.path.getsize("out.tif")
    for cut in (8, size // 3):  # the last four bytes of a COG repeat some before
        os.truncate("out.tif", size - cut)
        with pytest.raises((OSError, rasterio.errors.RasterioError)):
            check_written(files / "out.tif", count, shape)


def test_a_run_replaces_no_weights_that_it_did_not_make(tmp_path):
    """Else fine tuning into the folder of the weights replaces these."""
    from xsubpix.training.run import _check_folder

    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"precious")
    with pytest.raises(FileError, match="which no run made there"):
        _check_folder(tmp_path, None)
    (tmp_path / "progress.csv").write_text("step\n")
    _check_folder(tmp_path, None)
    os.symlink(weights, tmp_path / "link.safetensors")
    with pytest.raises(FileError, match="begins with"):
        _check_folder(tmp_path, tmp_path / "link.safetensors")


def test_xarray_variables_hold_readers_too(files):
    """Else a reader that hides in a variable of xarray is not found."""
    from xsubpix.files.sources import files_read_by

    assert files_read_by(xr.Dataset({"a": ("x", [1.0])})) == []
    assert {os.path.basename(p) for p in files_read_by(lazy(files))} == {"pre.tif", "post.tif"}
