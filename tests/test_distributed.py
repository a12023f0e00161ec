"""A cluster of processes: the same bytes, whatever dies, and little to schedule."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import dask
import dask.array as da
import numpy as np
import pytest
import rasterio

import xsubpix
from xsubpix.blocks import compute_blocks, current_client
from xsubpix.cli import main

distributed = pytest.importorskip("distributed", reason="distributed is not installed")

# What the cluster's own threads and sockets do while it is stopped is not ours.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
MODELS = [
    # A network that needs little around a tile: others take some ten times as long.
    ("window-cnn", {"tile_size": 256, "ensemble": 1, "step": 2}),
    ("cosi-corr", {"window": 16, "initial": 32, "step": 16}),
]


# A cluster that lost its workers waits for others, for ever: tests do not, seconds.
LONGEST = 300


@contextlib.contextmanager
def at_most(seconds):
    """What waits for ever ends in an error."""

    def give_up(number, frame):
        raise TimeoutError(f"nothing within {seconds} s: has the cluster lost its workers?")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def limited():
    """A test that waits for ever fails."""
    with at_most(LONGEST):
        yield


@contextlib.contextmanager
def local_client(workers, processes):
    """Client of a cluster on this machine, a thread a worker."""
    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=processes, dashboard_address=":0",
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):  # fmt: skip
        yield client


@pytest.fixture
def client(cluster):
    """The client, once both workers are there."""
    cluster.wait_for_workers(2, timeout=120)
    return cluster


@pytest.fixture(scope="module")
def cluster():
    """Two workers, each a process."""
    with contextlib.ExitStack() as stack:
        with at_most(LONGEST):
            client = stack.enter_context(local_client(2, processes=True))
        yield client


@pytest.fixture(scope="module")
def files(tmp_path_factory, scene):
    """A pair of tiled GeoTIFFs."""
    folder = tmp_path_factory.mktemp("pair")
    profile = {
        "driver": "GTiff", "width": 300, "height": 280, "count": 1, "dtype": "uint16",
        "crs": "EPSG:32611", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 4e6),
        "tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate",
    }  # fmt: skip
    paths = []
    for name, shift in (("pre.tif", (0.0, 0.0)), ("post.tif", (1.3, -0.6))):
        paths.append(str(folder / name))
        pixels = np.round(1000 + 20 * scene((280, 300), shift)).astype(np.uint16)
        with rasterio.open(paths[-1], "w", **profile) as out:
            out.write(pixels, 1)
    return paths


def opened(files):
    return [xsubpix.open_image(path).chunk(128) for path in files]


def same_files(one, two):
    with rasterio.open(one) as a, rasterio.open(two) as b:
        np.testing.assert_array_equal(a.read(), b.read())
        assert a.tags() == b.tags()
        assert str(a.profile) == str(b.profile)


@pytest.mark.parametrize(("model", "options"), MODELS, ids=[name for name, _ in MODELS])
def test_the_same_bytes(client, files, identical, model, options):
    """Else a result depends on where it was computed."""
    images = opened(files)
    lazy = xsubpix.correlate(*images, model=model, **options)
    eager = xsubpix.correlate(*(image.compute() for image in images), model=model, **options)
    with client.as_current():
        there = lazy.compute()
    with dask.config.set(scheduler="threads"):
        here = lazy.compute()
    identical(there, here)
    identical(there, eager)


def test_weights_are_loaded_once_a_worker(client, files):
    """Else every tile reads the weights again, or they travel with the tasks."""
    model, options = MODELS[0]
    lazy = xsubpix.correlate(*opened(files), model=model, **options)
    assert lazy.east.data.npartitions >= 4

    def loaded():
        from xsubpix.estimators.network import _loaded

        return _loaded.cache_info().misses, _loaded.cache_info().hits

    client.run(_forget)
    with client.as_current():
        lazy.compute()
    counts = client.run(loaded)
    assert sum(hits + misses for misses, hits in counts.values()) >= lazy.east.data.npartitions
    assert all(misses <= 1 for misses, _ in counts.values())


def _forget():
    from xsubpix.estimators.network import _loaded

    _loaded.cache_clear()


@pytest.mark.parametrize(("model", "options"), MODELS, ids=[name for name, _ in MODELS])
def test_graphs_are_small_and_hold_no_arrays(tmp_path, model, options):
    """Else a scheduler's memory grows with the pixels or the weights."""
    sizes = []
    for side in (2048, 8192):
        path = tmp_path / f"{side}.tif"
        with rasterio.open(
            path, "w", driver="GTiff", width=side, height=side, count=1, dtype="uint16",
            crs="EPSG:32611", transform=rasterio.Affine(10, 0, 5e5, 0, -10, 4e6), tiled=True,
            sparse_ok=True,
        ):  # fmt: skip
            pass
        image = xsubpix.open_image(path)
        lazy = xsubpix.correlate(image, image, model=model, **options)
        graph = dict(lazy.__dask_graph__())
        blocks = lazy.east.data.npartitions
        sizes.append(len(pickle.dumps(graph)) / blocks)
        assert len(graph) < 12 * blocks + 100
    # A graph whose parts hold arrays of the image, 200 kB a block, or weights, megabytes.
    assert sizes[0] < 3000
    assert sizes[1] < 1.1 * sizes[0]


def _marked(block, folder, kill):
    """The block as it is; the process leaves a mark, and may die once."""
    with open(os.path.join(folder, str(os.getpid())), "a"):
        pass
    if kill:
        try:
            os.close(os.open(os.path.join(folder, "killed"), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return block
        os.kill(os.getpid(), signal.SIGKILL)
    return block


def marked(files, folder, kill=False):
    """A field of many blocks, each of which leaves a mark in the folder."""
    os.mkdir(folder)
    disp = xsubpix.correlate(*opened(files), **QUICK)
    east = disp.east.data.map_blocks(_marked, str(folder), kill, dtype="f4", meta=META)
    return disp.assign(east=disp.east.copy(data=east))


QUICK = {"model": "phase", "refine": False, "window": 16, "step": 4}
META = np.empty((0, 0), np.float32)


@pytest.mark.parametrize("resume", [True, False])
def test_files_are_written_from_the_cluster(client, files, tmp_path, resume):
    """Else a cluster waits while the process that writes computes."""
    disp = marked(files, tmp_path / "there")
    with client.as_current():
        assert current_client() is client
        xsubpix.to_cog(disp, tmp_path / "a.tif", resume=resume)
        with dask.config.set(scheduler="threads"):
            assert current_client() is None
    assert current_client() is None
    assert os.listdir(tmp_path / "there")
    assert str(os.getpid()) not in os.listdir(tmp_path / "there")
    here = marked(files, tmp_path / "here")
    xsubpix.to_cog(here, tmp_path / "b.tif", resume=resume)
    assert os.listdir(tmp_path / "here") == [str(os.getpid())]
    same_files(tmp_path / "a.tif", tmp_path / "b.tif")
    assert sorted(os.listdir(tmp_path)) == ["a.tif", "b.tif", "here", "there"]


@pytest.mark.parametrize("how", ["compute", "to_cog"])
def test_a_killed_worker_changes_nothing(client, files, tmp_path, identical, how):
    """Else a night's work is lost with one of its machines, or has a hole."""
    disp = marked(files, tmp_path / "marks", kill=True)
    with client.as_current():
        if how == "compute":
            there = disp.compute()
        else:
            xsubpix.to_cog(disp, tmp_path / "a.tif", resume=True)
    assert "killed" in os.listdir(tmp_path / "marks")
    # That of the worker that died, and of those that lived.
    assert len(os.listdir(tmp_path / "marks")) >= 3
    if how == "compute":
        identical(there, disp.compute(scheduler="threads"))
    else:
        xsubpix.to_cog(marked(files, tmp_path / "here"), tmp_path / "b.tif")
        same_files(tmp_path / "a.tif", tmp_path / "b.tif")


def test_few_blocks_are_in_flight(client):
    """Else the scheduler and the workers hold a whole scene that waits to be written."""
    held, told = [], []

    class Told(dask.callbacks.Callback):
        def _posttask(self, key, value, graph, state, worker):
            told.append(len(state["finished"]))

    array = da.zeros((2400, 20), chunks=(20, 20), dtype="f4")
    with client.as_current(), Told():
        compute_blocks([array, array + 1], lambda *block: held.append(len(client.futures)))
    assert len(held) == 120
    # Two patches of 6 x 6 blocks; these are in a row.
    assert max(held) <= 12
    # Progress bars see each block.
    assert told == list(range(1, 121))


def test_errors_come_back_and_work_goes_on(client, files, tmp_path):
    """Else an image that is damaged for one worker is a hole, or hangs the cluster."""
    folder = tmp_path / "once"
    folder.mkdir()
    disp = xsubpix.correlate(*opened(files), **QUICK)
    east = disp.east.data.map_blocks(_failing, str(folder), dtype="f4", meta=META)
    disp = disp.assign(east=disp.east.copy(data=east))
    with client.as_current():
        with pytest.raises(xsubpix.FileError, match=r"cannot read pre\.tif"):
            xsubpix.to_cog(disp, tmp_path / "a.tif", resume=True)
        assert not (tmp_path / "a.tif").exists()
        xsubpix.to_cog(disp, tmp_path / "a.tif", resume=True)
    with rasterio.open(tmp_path / "a.tif") as out:
        np.testing.assert_array_equal(out.read(1), disp.east.compute(scheduler="threads"))


def _failing(block, folder, block_info=None):
    """Fails once, at the last block."""
    if block_info[None]["chunk-location"] == (1, 1):
        try:
            os.close(os.open(os.path.join(folder, "failed"), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return block
        raise xsubpix.FileError("cannot read pre.tif")
    return block


def test_the_command_line_uses_a_cluster(client, files, tmp_path, capsys):
    """Else a cluster is for those who write Python only."""
    options = ["--model", "phase", "--window", "16", "--step", "8"]
    one, two = str(tmp_path / "a.tif"), str(tmp_path / "b.tif")
    address = client.scheduler.address
    assert main(["correlate", *files, one, *options, "--scheduler", address]) == 0
    assert "%" not in capsys.readouterr().err
    assert main(["correlate", *files, two, *options, "--quiet"]) == 0
    same_files(one, two)
    assert main(["correlate", *files, one, "--scheduler", "nowhere.json", "--quiet"]) == 2
    assert "no scheduler at nowhere.json" in capsys.readouterr().err


# ------------------------------------------------------------- clusters that are gone


@pytest.fixture
def threads():
    """A cluster of threads of this process, and its client."""
    with local_client(1, processes=False) as client:
        yield client


def slow(files, folder):
    """A field whose blocks leave a mark, and take a while."""
    folder.mkdir()
    disp = xsubpix.correlate(*opened(files), **QUICK)
    east = disp.east.data.map_blocks(_slow, str(folder), dtype="f4", meta=META)
    return disp.assign(east=disp.east.copy(data=east))


def _slow(block, folder, block_info=None):
    place = block_info[None]["chunk-location"]
    with open(os.path.join(folder, f"{place}-{time.time_ns()}"), "w"):
        pass
    time.sleep(1.0)
    return block


def closed_when(client, ready):
    """Close the client once something is there."""

    def close():
        while not ready():
            time.sleep(0.05)
        client.close()

    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("resume", [True, False])
def test_a_cluster_that_is_closed(threads, files, tmp_path, resume):
    """Else a night's work ends in a traceback that does not say that it is kept."""
    marks, journal = tmp_path / "marks", tmp_path / ".a.tif.journal"
    disp = slow(files, marks)

    def kept():
        return journal.read_text().splitlines()[2:] if journal.exists() else []

    closing = closed_when(threads, kept if resume else lambda: len(os.listdir(marks)) > 1)
    with threads.as_current(), pytest.raises(xsubpix.ClusterError) as caught:
        xsubpix.to_cog(disp, tmp_path / "a.tif", resume=resume)
    closing.join()
    assert ("kept" in str(caught.value)) == resume
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.tif").exists()
    if resume:
        done = [line.split() for line in kept()]
        xsubpix.to_cog(disp, tmp_path / "a.tif", resume=True)
        for row, col in done:
            assert len(list(marks.glob(f"({row}, {col})-*"))) == 1
    else:
        assert os.listdir(tmp_path) == ["marks"]


@pytest.fixture
def processes(tmp_path):
    """Scheduler and worker in processes of their own, and their client."""
    address = str(tmp_path / "scheduler.json")
    options = ["--host", "127.0.0.1", "--scheduler-file", address, "--no-dashboard"]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{name}", *options, *more],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for name, *more in (
            ("scheduler", "--port", "0"),
            ("worker", "--nworkers", "1", "--nthreads", "1", "--death-timeout", "60"),
        )
    ]  # fmt: skip
    # Without a scheduler, a client tries for half a minute to find it again.
    patience = dask.config.set({"distributed.comm.timeouts.connect": "3s"})
    try:
        while not os.path.exists(address):
            time.sleep(0.1)
        client = distributed.Client(scheduler_file=address, set_as_default=False, timeout=60)
        client.wait_for_workers(1, timeout=120)
        with patience:
            yield started[0], client
        client.close(timeout=5)
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_a_scheduler_that_is_killed(processes, files, tmp_path):
    """A traceback of the cluster's own, exit code 1, and not a word of what is kept."""
    scheduler, client = processes
    out, journal = tmp_path / "a.tif", tmp_path / ".a.tif.journal"
    disp = xsubpix.correlate(*opened(files), **{**QUICK, "step": 2})

    def kill():
        # Two lines say what is written; a block more is work that is kept.
        while not journal.exists() or len(journal.read_text().splitlines()) < 3:
            time.sleep(0.02)
        scheduler.kill()

    killing = threading.Thread(target=kill, daemon=True)
    killing.start()
    with client.as_current(), pytest.raises(xsubpix.ClusterError, match=r"lost.*kept") as caught:
        xsubpix.to_cog(disp, out, resume=True)
    killing.join()
    assert "\n" not in str(caught.value)
    assert not out.exists()
    kept = journal.read_text().splitlines()[2:]
    assert kept
    xsubpix.to_cog(disp, out, resume=True)
    assert out.exists()
    assert not journal.exists()


def _always_killed(block):
    os.kill(os.getpid(), signal.SIGKILL)


def test_workers_that_die_of_the_same_block(client, files, tmp_path, monkeypatch):
    """Out of memory: a traceback of the cluster's own, which does not say what to do."""
    monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 0)
    disp = xsubpix.correlate(*opened(files), **QUICK)
    east = disp.east.data.map_blocks(_always_killed, dtype="f4", meta=META)
    disp = disp.assign(east=disp.east.copy(data=east))
    with client.as_current(), pytest.raises(xsubpix.ClusterError, match=r"died.*memory.*kept"):
        xsubpix.to_cog(disp, tmp_path / "a.tif", resume=True)


def test_a_cluster_without_workers(files, tmp_path, monkeypatch):
    """It waits for some, for ever, without a word."""
    monkeypatch.setattr("xsubpix.cluster.PATIENCE", 1.0)
    with local_client(0, processes=False) as client:
        later = threading.Timer(3.0, client.cluster.scale, [1])
        later.start()
        disp = xsubpix.correlate(*opened(files), **QUICK)
        with (
            client.as_current(),
            pytest.warns(xsubpix.SubpixWarning, match="has no workers") as caught,
        ):
            xsubpix.to_cog(disp, tmp_path / "a.tif")
        assert sum("no workers" in str(w.message) for w in caught) == 1
    assert (tmp_path / "a.tif").exists()


def test_a_database_and_a_cluster_that_is_closed(threads, tmp_path):
    """Frames that are made are kept, and the error says so."""
    pytest.importorskip("zarr")
    from xsubpix.database import Settings, build_database, scenes_from_names
    from xsubpix.tutorial import procedural_scene

    procedural_scene((150, 150)).rio.to_raster(tmp_path / "scene.tif")
    store = tmp_path / "new.zarr"

    closing = closed_when(threads, lambda: list(store.rglob("0*.json")))
    scenes = scenes_from_names([str(tmp_path / "scene.tif")])
    settings = Settings((6, 0, 0), frame=128, crop=64, dates=1, cloudy=0.0)
    with threads.as_current(), pytest.raises(xsubpix.ClusterError, match="are kept"):
        build_database(scenes, store, settings, scheduler="distributed")
    closing.join()
    time.sleep(3.0)  # what is under way in a thread goes on
    report = build_database(scenes, store, settings, scheduler="synchronous")
    assert report.found >= 1
    assert report.found + report.made == 6
