"""What a frame of the database costs: CPU seconds and bytes.

Frames of 1024 x 1024 pixels with four scalings: rupture, warps, second dates and
storage, one after the other in one thread, on procedural ground. Real chips
(``XSUBPIX_DATA``) are used as well where they are there, in frames of 512 px.
Then the poster's 14,000 frames (10,000 + 2,000 + 2,000) are extrapolated.

Run ``python benchmarks/bench_database.py [frames]``.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np

from xsubpix.database import (
    Plan,
    Settings,
    frame_images,
    frames,
    make_plan,
    scenes_from_names,
    split_scenes,
)
from xsubpix.database.build import single_threaded
from xsubpix.database.store import create_store, stored_bytes, write_frame
from xsubpix.tutorial import procedural_scene

TARGET = 6.0  # CPU seconds a frame of 1024 px
POSTER = 14_000  # frames
STAGES = {
    "rupture": [(frames.GridSampler, "__call__")],
    "second dates": [(frame_images.SecondDate, n) for n in ("change_surface", "acquire", "before")],
    "warp": [(frame_images, "invert_displacement"), (frame_images, "sample_quintic")],
}


@contextmanager
def stopwatch(spent: dict[str, float]) -> Iterator[None]:
    """Add up the CPU seconds of each stage."""
    patches = []
    for stage, functions in STAGES.items():
        for owner, name in functions:
            patches.append(
                mock.patch.object(owner, name, _timed(getattr(owner, name), stage, spent))
            )
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()


def _timed(function, stage, spent):
    def timed(*args, **kwargs):
        start = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            spent[stage] = spent.get(stage, 0.0) + time.process_time() - start

    return timed


def measure(plan: Plan, split: str, count: int, folder: Path) -> tuple[dict[str, float], float]:
    """Make and store frames; CPU seconds by stage and bytes, a frame."""
    create_store(folder, plan.settings)
    spent: dict[str, float] = {}
    total = 0.0
    with single_threaded(), stopwatch(spent):
        frames.make_frame(plan, split, count)  # what is imported and compiled on first use
        spent.clear()
        for k in range(count):
            start = time.process_time()
            frame = frames.make_frame(plan, split, k)
            stored = time.process_time()
            write_frame(folder, split, k, frame)
            now = time.process_time()
            spent["storage"] = spent.get("storage", 0.0) + now - stored
            total += now - start
    spent["other"] = total - sum(spent.values())
    means = {stage: seconds / count for stage, seconds in spent.items()}
    return means, sum(stored_bytes(folder).values()) / count


def report(title: str, means: dict[str, float], size: float, target: float | None) -> None:
    total = sum(means.values())
    print(title)
    print("  " + ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in means.items()))
    verdict = (
        "" if target is None else f" (target {target:g}: {'met' if total <= target else 'NOT met'})"
    )
    print(f"  {total:.2f} CPU s a frame{verdict}, {size / 2**20:.2f} MiB a frame")
    print(
        f"  {POSTER} frames: {POSTER * total / 3600:.1f} CPU hours, {POSTER * size / 1e9:.1f} GB\n"
    )


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        procedural_scene((1200, 1200), seed=1, pixel_size=15.0).round().astype(
            np.uint16
        ).rio.to_raster(folder / "one.tif")
        scenes = split_scenes(scenes_from_names([str(folder / "one.tif")]), {})
        for dates in (4, 1):
            plan = make_plan(scenes, Settings((count, 0, 0), dates=dates))
            means, size = measure(plan, "train", count, folder / f"{dates}.zarr")
            title = f"procedural ground, 1024 x 1024, {count} frames, four scalings"
            report(f"{title}, {dates} second date(s) a frame", means, size, TARGET)

        chips = Path(os.environ.get("XSUBPIX_DATA", "../shared/data")) / "landsat7"
        if not chips.is_dir():
            print(f"no real chips in {chips}: set XSUBPIX_DATA to measure on them")
            return
        names = [str(chips / f"P090R083_{k:02d}_pan.tif") for k in (7, 9)]
        found = scenes_from_names(names, multispectral=("_pan", "_ms"), location=r"P\d+R\d+")
        settings = Settings((count, 0, 0), frame=512, crop=256)
        plan = make_plan(split_scenes(found, {}), settings)
        means, size = measure(plan, "train", count, folder / "chips.zarr")
        report(
            f"Landsat-7 chips, 512 x 512, {count} frames (a quarter of the area)", means, size, None
        )


if __name__ == "__main__":
    main()
