"""Files with seeded damage, and what each reader of this package makes of them.

    python tests/fuzz/mutations.py 1000 geotiff zarr

mutates a thousand files of each kind named (all kinds without names). Every mutation ends in
a right result or in one error of this package, in 30 seconds of work (five minutes by the
clock, on a busy machine) and 2 GB, with nothing run and no file half written; the script
ends with the number of each, and exit code 1 where one did not. ``test_fuzz.py`` does the
same with a hundred of each. Kinds run side by side, one a core, each in a process of its own:
where the libraries of NetCDF crash, which no Python can catch, that is counted and said, and the
next mutation follows.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr

import xsubpix
from xsubpix.errors import SubpixError

SECONDS, LONGEST, BYTES = 30.0, 300, 2 * 2**30
# Kinds whose libraries are known to crash on damaged files, whatever is done here.
CRASHING = ("netcdf",)
SIDE = 96


# ------------------------------------------------------------------------ whole files


def field() -> xr.Dataset:
    """A field of two components on a grid."""
    rng = np.random.default_rng(0)
    coords = {"y": 4e6 - 10.0 * np.arange(SIDE), "x": 5e5 + 10.0 * np.arange(SIDE)}
    data = {
        name: (("y", "x"), rng.normal(size=(SIDE, SIDE)).astype("f4"), {"units": "m"})
        for name in ("east", "north")
    }
    return xr.Dataset(data, coords).rio.write_crs("EPSG:32611")


def make_geotiff(folder: Path) -> Path:
    xsubpix.to_cog(field(), folder / "whole.tif")
    return folder / "whole.tif"


def make_netcdf(folder: Path) -> Path:
    xsubpix.to_netcdf(field(), folder / "whole.nc")
    return folder / "whole.nc"


def make_zarr(folder: Path) -> Path:
    from xsubpix.database import Settings, build_database, scenes_from_names

    ground = np.random.default_rng(0).normal(size=(150, 150)).cumsum(0).cumsum(1)
    coords = {"y": 4e6 - 10.0 * np.arange(150), "x": 5e5 + 10.0 * np.arange(150)}
    image = xr.DataArray((1000 + 5 * ground).astype("u2"), coords, ("y", "x"))
    image.rio.write_crs("EPSG:32633").rio.to_raster(folder / "scene.tif")
    settings = Settings((1, 0, 0), frame=128, crop=64, cloudy=0.0)
    scenes = scenes_from_names([str(folder / "scene.tif")])
    build_database(scenes, folder / "whole.zarr", settings, scheduler="synchronous")
    return folder / "whole.zarr"


def make_safetensors(folder: Path) -> Path:
    from xsubpix.networks.registry import build_network
    from xsubpix.networks.weights import save_network

    save_network(folder / "whole.safetensors", build_network("window-cnn", width=0.1))
    return folder / "whole.safetensors"


def make_toml(folder: Path) -> Path:
    path = folder / "whole.toml"
    path.write_text(
        'architecture = "unet"\nsteps = 100\nbatch = 4\ncrop = 64\nseed = 3\nhalf = false\n'
        "learning_rate = 1e-3\naverage = 0.99\n[network]\nwidth = 0.25\n[[data]]\n"
        'path = "db.zarr"\nshare = 2.0\n[augmentation]\nnoise = 0.1\nblur = 0.2\n'
    )
    return path


LINE = [[500100.0, 3999900.0], [500400.0, 3999600.0], [500900.0, 3999500.0]]


def make_geojson(folder: Path) -> Path:
    named = {"type": "name", "properties": {"name": "EPSG:32611"}}
    geometry = {"type": "LineString", "coordinates": LINE}
    features = [{"type": "Feature", "properties": {"name": "main"}, "geometry": geometry}]
    document = {"type": "FeatureCollection", "crs": named, "features": features}
    (folder / "whole.geojson").write_text(json.dumps(document))
    return folder / "whole.geojson"


def make_geopackage(folder: Path) -> Path:
    import geopandas
    import shapely

    frame = geopandas.GeoDataFrame(
        {"name": ["main"]}, geometry=[shapely.LineString(LINE)], crs=32611
    )
    frame.to_file(folder / "whole.gpkg")
    return folder / "whole.gpkg"


# ---------------------------------------------------------------------------- readers


def read_field(path: Path) -> Any:
    return xsubpix.open_displacement(path).load()


def read_zarr(path: Path) -> Any:
    from xsubpix.database import open_database

    return open_database(path, crops=False).load()


def read_safetensors(path: Path) -> Any:
    from xsubpix.networks.weights import load_network

    return load_network(path).state_dict()


def read_toml(path: Path) -> Any:
    from xsubpix.training.config import TrainConfig

    return TrainConfig.from_file(path)


def read_lines(path: Path) -> Any:
    return xsubpix.read_trace(path, xsubpix.Grid.from_dataarray(field()["east"]))


#: Kind -> what makes a whole file, what reads one, and whether its pixels have checksums: a
#: result that differs from that of the whole file is then wrong.
KINDS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Any], bool]] = {
    "geotiff": (make_geotiff, read_field, True),
    "netcdf": (make_netcdf, read_field, True),
    "zarr": (make_zarr, read_zarr, True),
    "safetensors": (make_safetensors, read_safetensors, False),
    "toml": (make_toml, read_toml, False),
    "geojson": (make_geojson, read_lines, False),
    "geopackage": (make_geopackage, read_lines, False),
}


# --------------------------------------------------------------------------- mutations


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Bytes with one to eight damages: turned, cut, doubled, removed, put in, swapped."""
    data = bytearray(content)
    small = rng.random() < 0.5  # one byte, which a reader may well not notice
    for _ in range(1 if small else int(2 ** rng.integers(0, 4))):
        size = len(data)
        at = int(rng.integers(0, max(size, 1)))
        length = 1 if small else int(min(2 ** rng.integers(0, 12), size // 16 + 1))
        how = int(rng.integers(0, 8))
        if how == 0 and size:
            data[at] ^= 1 << int(rng.integers(0, 8))
        elif how == 1:
            data[at : at + length] = rng.bytes(length)
        elif how == 2:
            del data[at : at + length]
        elif how == 3:
            data[at:at] = data[at : at + length]
        elif how == 4 and not small:
            del data[at:]
        elif how == 5:
            data[at : at + length] = bytes(len(data[at : at + length]))
        elif how == 6:
            data[at : at + 4] = bytes([255]) * len(data[at : at + 4])
        else:
            words = (
                b"nan",
                b"-1",
                b"1e309",
                b"null",
                b"[]",
                b"{}",
                b"9" * 20,
                b"\x00",
                b"\xff",
                b'"',
            )
            data[at : at + 1] = words[int(rng.integers(0, len(words)))]
    return bytes(data)


def damage(whole: Path, target: Path, rng: np.random.Generator) -> None:
    """A copy of a file, or of one file of a folder, with damages."""
    if whole.is_dir():
        shutil.copytree(whole, target)
        files = sorted(f for f in target.rglob("*") if f.is_file() and f.suffix != ".md")
        chosen = files[int(rng.integers(0, len(files)))]
        if rng.random() < 0.1:
            chosen.unlink()
        else:
            chosen.write_bytes(mutated(chosen.read_bytes(), rng))
    else:
        target.write_bytes(mutated(whole.read_bytes(), rng))


def pixels_differ(one: Any, two: Any) -> bool:
    """Whether values that have checksums differ; places and attributes may."""
    for name in ("east", "north", "pre", "post", "dx", "dy"):
        if name in one and name in two:
            a, b = np.asarray(one[name]), np.asarray(two[name])
            if a.shape == b.shape and not np.array_equal(a, b, equal_nan=True):
                return True
    return False


def outcomes(kind: str, number: int, seed: int = 0, first: int = 0) -> Iterator[tuple[int, str]]:
    """What becomes of mutations: ``"right"``, ``"refused"``, or what went wrong.

    Parameters
    ----------
    kind : str
        Of :data:`KINDS`.
    number, first : int
        The mutations `first` to `number` - 1 are made.
    seed : int
        Their seed.

    Yields
    ------
    number : int
        Of the mutation: the seed of its damages is (`seed`, number).
    words : str
    """
    make, read, checked = KINDS[kind]
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        whole = make(folder)
        truth = read(whole)
        for k in range(first, number):
            rng = np.random.default_rng([seed, k])
            target = folder / f"damaged{whole.suffix}"
            damage(whole, target, rng)
            before = {p.name for p in folder.iterdir()}
            yield k, _one(read, target, truth, checked)
            left = {p.name for p in folder.iterdir()} - before
            # GDAL and SQLite may leave notes of their own beside what they read.
            if left := {
                n for n in left if not n.endswith((".aux.xml", "-journal", "-wal", "-shm"))
            }:
                yield k, f"left {sorted(left)}"
            shutil.rmtree(target) if target.is_dir() else target.unlink()


@contextlib.contextmanager
def stopped_after(seconds: int) -> Iterator[None]:
    """A wait without an end, for a lock or a pipe, takes no time of the processor."""

    def give_up(number: int, frame: Any) -> None:
        raise TimeoutError(f"nothing within {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _one(read: Callable[[Path], Any], target: Path, truth: Any, checked: bool) -> str:
    begun, quiet = time.process_time(), io.StringIO()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with stopped_after(LONGEST):
            found = read(target)
        words = "right"
        if checked and pixels_differ(found, truth):
            words = "other pixels without a word"
    except SubpixError as error:
        words = "refused" if "\n" not in str(error) else f"an error of several lines: {error}"
    except Exception:
        traceback.print_exc(limit=-4, file=quiet)
        words = f"a foreign error: {quiet.getvalue()}"
    if time.process_time() - begun > SECONDS:
        words = f"{time.process_time() - begun:.0f} seconds"
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak)
    return f"{grown / 2**30:.1f} GB" if grown > BYTES else words


def _send_outcomes(connection: Connection, kind: str, number: int, first: int) -> None:
    """Send each outcome at once: a crash leaves the number of the last one."""
    for found in outcomes(kind, number, first=first):
        connection.send(found)


def counted(kind: str, number: int) -> tuple[dict[str, int], list[str]]:
    """Number of each outcome of a kind, and what went wrong."""
    count: dict[str, int] = {}
    wrong = []
    context = multiprocessing.get_context("spawn")
    first = 0
    while first < number:
        receiving, sending = context.Pipe(duplex=False)
        process = context.Process(target=_send_outcomes, args=(sending, kind, number, first))
        process.start()
        sending.close()
        with receiving, contextlib.suppress(EOFError):
            while True:
                k, words = receiving.recv()
                first = k + 1
                short = words if words in ("right", "refused") else "WRONG"
                count[short] = count.get(short, 0) + 1
                if short == "WRONG":
                    wrong.append(f"{kind} {k}: {words}")
        process.join()
        if process.exitcode == 0:
            break
        if kind in CRASHING and process.exitcode in (
            -signal.SIGSEGV,
            -signal.SIGBUS,
            -signal.SIGABRT,
        ):
            count["crashed in a library"] = count.get("crashed in a library", 0) + 1
        else:
            wrong.append(f"{kind} {first}: the process ended with exit code {process.exitcode}")
        first += 1
    return count, wrong


def main(arguments: list[str]) -> int:
    """Mutate files, a kind in each process, and print what became of them."""
    number = int(arguments[0]) if arguments else 100
    kinds = arguments[1:] or list(KINDS)
    failed = False
    with ThreadPoolExecutor(min(len(kinds), os.cpu_count() or 1)) as pool:
        begun = time.monotonic()
        done = {pool.submit(counted, kind, number): kind for kind in kinds}
        for future in as_completed(done):
            count, wrong = future.result()
            failed |= bool(wrong)
            took = f"{time.monotonic() - begun:.0f} s"
            print(*wrong, f"{done[future]}: {count}, after {took}", sep="\n", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
