"""Building a database: frames as dask tasks, each made once, whatever stops the building.

A frame's images are written first, each file in one piece, then a marker with
its row of the table, by renaming. What has a marker is never made again; what
has none is made anew, and comes out the same, because nothing but the plan and
its number goes into it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._version import __version__
from ..cluster import Arrivals, cluster_errors_named
from ..errors import ClusterError, DataError, FileError
from ..files.locks import locked
from ..files.writing import writing_errors_named
from ..progress import progress_bar, say
from .datasheet import write_datasheet
from .frames import make_frame
from .layout import SPLITS, STORE_VERSION
from .plan import Plan, Settings, make_plan, used_scenes
from .reading import PlannedScene
from .scenes import SceneSource, digest_of, split_scenes
from .store import create_store, read_attributes, write_frame, write_table

__all__ = ["BuildReport", "build_database"]

_MARKERS = ".building"
# What an error of the disk, of a cluster or of processes leaves.
_GOES_ON = " Frames that are made are kept; the same call goes on from there."
# Libraries' own threads would fight for the cores that the workers share, and may round sums
# differently by their number.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclasses.dataclass(frozen=True)
class BuildReport:
    """Report of a call of :func:`build_database`.

    Attributes
    ----------
    path : pathlib.Path
        The store.
    made, found : int
        Frames made now, and found made already.
    cpu_seconds : float
        Time of making and storing the former, over all workers.
    seconds : float
        Time it took.

    Examples
    --------
    >>> from pathlib import Path
    >>> BuildReport(Path("db.zarr"), made=10, found=2, cpu_seconds=9.1, seconds=5.0).made
    10
    """

    path: Path
    made: int
    found: int
    cpu_seconds: float
    seconds: float


def build_database(
    scenes: Sequence[SceneSource],
    out: str | os.PathLike[str],
    settings: Settings,
    *,
    split: Mapping[str, Sequence[str]] | None = None,
    workers: int | None = None,
    scheduler: str = "processes",
    progress: bool | Callable[[int, int, float], None] = False,
) -> BuildReport:
    """Build a database of synthetic ruptures on real images, or go on with one.

    Parameters
    ----------
    scenes : sequence of SceneSource
        Images; see :func:`xsubpix.database.scenes.scenes_from_names`.
    out : str or path
        The store: a new name, or one that was begun with the same scenes,
        settings and version.
    settings : Settings
        Numbers of faults, sizes, ranges, the seed.
    split : mapping, optional
        Split to patterns of locations:
        :func:`xsubpix.database.scenes.split_scenes`.
    workers : int, optional
        Processes or threads; by default as many as there are cores.
    scheduler : {"processes", "threads", "synchronous", "distributed"}
        Scheduler of dask; ``"distributed"`` uses the client that there is. Scripts that use
        ``"processes"`` need the guard ``if __name__ == "__main__":``.
    progress : bool or callable
        True: dask's progress bar on standard error, where that is a terminal or a notebook
        (clusters have a dashboard instead), and, after a stop, a line that says how much is
        there already. A function is called about every second with the frames that are made,
        the frames in all, and the seconds since the first was begun.

    Returns
    -------
    BuildReport

    Raises
    ------
    DataError
        The scenes cannot make what is asked for; two splits share ground.
    FileError
        A file cannot be read, or is changed while it is used; `out` is something else, was
        begun with other scenes, settings or another version, or another process builds it.

    Notes
    -----
    The same seed, scenes and version give the same bytes on one worker or many
    (on one kind of machine: other processors or other versions of numpy and
    scipy may round differently).

    Examples
    --------
    >>> from xsubpix.database import SceneSource, Settings, build_database
    >>> settings = Settings(faults=(1, 0, 0), frame=128, crop=64, scalings=(1.0,), dates=1)
    >>> scenes = [SceneSource("scene.tif", split="train")]
    >>> report = build_database(scenes, "new.zarr", settings, scheduler="synchronous")
    >>> report.made, report.found
    (1, 0)
    """
    if scheduler not in ("processes", "threads", "synchronous", "distributed"):
        raise DataError(
            f"scheduler={scheduler!r}: give 'processes', 'threads', 'synchronous' or 'distributed'."
        )
    if workers is not None and workers < 1:
        raise DataError(f"workers={workers}: give 1 or more.")
    path = Path(out)
    if not path.parent.is_dir():
        raise FileError(f"cannot write {path}: there is no folder {path.parent}. Make it.")
    with locked(path):
        return _build(
            path, split_scenes(scenes, split or {}), settings, workers, scheduler, progress
        )


def _build(
    path: Path,
    ordered: list[SceneSource],
    settings: Settings,
    workers: int | None,
    scheduler: str,
    progress: bool | Callable[[int, int, float], None],
) -> BuildReport:
    """Build or go on, while no other process does."""
    begun = time.perf_counter()
    with single_threaded():
        plan = _open_plan(path, ordered, settings)
    wanted = [(name, k) for name in SPLITS for k in range(settings.count(name))]
    complete = bool(read_attributes(path).get("complete"))
    todo = [] if complete else [w for w in wanted if not _marker(path, *w).exists()]
    seconds = 0.0
    if progress is True and todo and len(todo) < len(wanted):
        say(f"resuming: {len(wanted) - len(todo)} of {len(wanted)} frames are there")
    if todo:
        # Around all tasks too: those that share a process would lift each other's limit.
        with _watched(path, len(wanted), progress), single_threaded():
            start = time.process_time()
            each = _compute(path, plan, todo, workers, scheduler)
            # Threads of one process share its clock.
            seconds = time.process_time() - start if scheduler == "threads" else sum(each)
    if not complete:
        with writing_errors_named(path, _GOES_ON):
            _finish(path, plan)
    shutil.rmtree(path / _MARKERS, ignore_errors=True)
    elapsed = time.perf_counter() - begun
    return BuildReport(path, len(todo), len(wanted) - len(todo), seconds, elapsed)


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Keep numerical libraries to one thread."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise DataError(
            "building databases needs the package threadpoolctl: pip install 'xsubpix[database]'."
        ) from error
    with threadpool_limits(1):
        yield


def _open_plan(path: Path, scenes: list[SceneSource], settings: Settings) -> Plan:
    """Make the store, or take up the plan of the one that is there."""
    if path.exists():
        if (path / "zarr.json").exists() and "plan" in _attributes(path):
            return _resume(path, scenes, settings)
        if not (path / _MARKERS).is_dir():
            raise FileError(f"{path} exists and is no database of xsubpix: choose another name.")
        shutil.rmtree(path)  # stopped before its plan was written
    plan = make_plan(scenes, settings)
    with writing_errors_named(path, " Give it room; the same call begins again."):
        (path / _MARKERS).mkdir(parents=True)
        create_store(path, settings)
        # Last: with a plan, a store is whole.
        _set_attributes(path, {"plan": plan.to_dict(), "complete": False})
    return plan


def _resume(path: Path, scenes: list[SceneSource], settings: Settings) -> Plan:
    stored = read_attributes(path)["plan"]
    used = used_scenes(scenes, settings)
    there = {
        "version": stored["version"],
        "store_version": stored.get("store_version", 1),
        # Plans of clean faults did not always say so.
        "complexity": 0.0,
        **stored["settings"],
        "scenes": [_identity(scene) for scene in stored["scenes"]],
    }
    asked = json.loads(
        json.dumps(
            {
                "version": __version__,
                "store_version": STORE_VERSION,
                **settings.to_dict(),
                "scenes": [
                    _identity(
                        PlannedScene(
                            scene, (0, 0), 0.0, tuple(digest_of(p) for p in scene.files)
                        ).to_dict()
                    )
                    for scene in used
                ],
            }
        )
    )
    for key, value in asked.items():
        if there.get(key) != value:
            what = (
                f"{key}={there.get(key)}, not {value}"
                if key != "scenes"
                else "other scenes, splits or files"
            )
            raise FileError(
                f"{path} was begun with {what}. Give what it was begun with to go on, or build "
                "under another name."
            )
    for unfinished in path.rglob("*.partial"):
        unfinished.unlink(missing_ok=True)
    return Plan(
        settings,
        tuple(
            PlannedScene.from_dict(scene, values)
            for scene, values in zip(used, stored["scenes"], strict=True)
        ),
    )


def _identity(scene: dict[str, Any]) -> list[Any]:
    keys = ("name", "sha256", "kind", "band", "location", "split", "source", "licence")
    return [scene[key] for key in keys]


def _compute(
    path: Path, plan: Plan, todo: list[tuple[str, int]], workers: int | None, scheduler: str
) -> list[float]:
    """Make frames; CPU seconds of each."""
    import dask

    tasks = [dask.delayed(_build_frame, pure=False)(str(path), plan, *frame) for frame in todo]
    if scheduler == "distributed":
        return _on_cluster(tasks)
    if scheduler != "processes":
        return list(dask.compute(*tasks, scheduler=scheduler, num_workers=workers))
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    count = min(workers or os.cpu_count() or 1, len(todo))
    with (
        _environment(dict.fromkeys(_THREADS, "1")),
        ProcessPoolExecutor(
            count,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_die_with,
            initargs=(os.getpid(),),
        ) as pool,
    ):
        try:
            return list(dask.compute(*tasks, scheduler="processes", pool=pool, chunksize=1))
        except BrokenProcessPool as error:
            raise ClusterError(
                f"one of {count} processes that make frames was killed, most often for want of "
                f"memory: give fewer workers.{_GOES_ON}"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _on_cluster(tasks: list[Any]) -> list[float]:
    """Results of the tasks from the cluster that there is."""
    from distributed import get_client

    client = get_client()
    with cluster_errors_named(client, _GOES_ON):
        futures, arriving = client.compute(tasks), Arrivals(client)
        for future in futures:
            arriving.add(future)
        for _ in futures:
            arriving.next().result()  # the first that fails ends it
        return [future.result() for future in futures]


def _build_frame(path: str, plan: Plan, split: str, number: int) -> float:
    """Make one frame, store it, then mark it as made; CPU seconds."""
    start = time.process_time()
    with single_threaded():
        frame = make_frame(plan, split, number)
        with writing_errors_named(Path(path), _GOES_ON):
            write_frame(Path(path), split, number, frame)
            _mark(_marker(Path(path), split, number), frame.record)
    return time.process_time() - start


def _mark(marker: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a frame that is stored, whole or not at all."""
    marker.parent.mkdir(parents=True, exist_ok=True)
    partial = marker.with_name(f"{marker.name}.{os.getpid()}.{threading.get_ident()}.partial")
    partial.write_text(json.dumps(record))
    os.replace(partial, marker)


def _finish(path: Path, plan: Plan) -> None:
    """Gather the table, write the datasheet, and call the store complete."""
    names = [scene.source.name for scene in plan.scenes]
    for split in SPLITS:
        count = plan.settings.count(split)
        if count:
            records = [json.loads(_marker(path, split, k).read_text()) for k in range(count)]
            write_table(path, split, records, names)
    described = plan.to_dict()
    write_datasheet(path, described)
    _set_attributes(path, {"plan": described, "complete": True})


def _marker(path: Path, split: str, number: int) -> Path:
    return path / _MARKERS / split / f"{number:06d}.json"


def _attributes(path: Path) -> dict[str, Any]:
    try:
        return json.loads((path / "zarr.json").read_text()).get("attributes", {})
    except (OSError, json.JSONDecodeError) as error:
        raise FileError(f"cannot read {path / 'zarr.json'}: {error}") from error


def _set_attributes(path: Path, attributes: dict[str, Any]) -> None:
    """Write the root's attributes, all at once."""
    file = path / "zarr.json"
    metadata = json.loads(file.read_text())
    metadata["attributes"] = attributes
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(metadata, indent=2))
    os.replace(partial, file)


@contextlib.contextmanager
def _watched(
    path: Path, total: int, progress: bool | Callable[[int, int, float], None]
) -> Iterator[None]:
    """Show a bar, or call `progress` while frames are made: it counts markers."""
    if not callable(progress):
        with progress_bar(progress):
            yield
        return
    stop = threading.Event()
    start = time.perf_counter()

    def watch() -> None:
        while True:
            stopped = stop.wait(1.0)
            progress(_count_markers(path), total, time.perf_counter() - start)
            if stopped:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _count_markers(path: Path) -> int:
    count = 0
    for split in SPLITS:
        with contextlib.suppress(FileNotFoundError), os.scandir(path / _MARKERS / split) as files:
            count += sum(file.name.endswith(".json") for file in files)
    return count


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _die_with(parent: int) -> None:
    """End this worker when the process that began it is gone, killed or not."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
