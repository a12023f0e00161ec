"""A whole scene through ``xsubpix correlate``: time, memory, seams, and a kill in the middle.

    python benchmarks/full_scene.py --folder FOLDER [--sizes 2000 4000 8000 15000]
        [--models unet cosi-corr:step=4] [--kill-at 0.4] [--out docs/benchmarks/scale.rst]

The pair of each size is made once and kept in the folder. Its first image is chips of
``$XSUBPIX_DATA/landsat7`` (procedural scenes where they are absent), mirrored and put side by
side. The second is the first, warped by a known field with a surface rupture, with another gain,
offset and noise, and a wedge without data at two borders. Both are tiled and deflated GeoTIFFs of
uint16, 15 m. Memory is the largest sum of resident memory over the processes of the command,
sampled ten times a second.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

CHIP = 800
BLOCK = 1024
PIXEL = 15.0
# Context of the quintic splines and of the field's inversion, pixels.
MARGIN = 64


# ------------------------------------------------------------------------- the pair


def load_chips() -> list[np.ndarray]:
    """Chips of 800 x 800 pixels, of the same mean and deviation."""
    data = Path(os.environ.get("XSUBPIX_DATA", "../shared/data"))
    paths = sorted((data / "landsat7").glob("*_pan.tif"))
    if paths:
        import rasterio

        chips = []
        for path in paths:
            with rasterio.open(path) as file:
                chips.append(file.read(1).astype(np.float32))
    else:
        from xsubpix.tutorial import procedural_scene

        print(f"({data} is absent: procedural scenes instead of real chips)")
        chips = [procedural_scene((CHIP, CHIP), seed=k).values.astype(np.float32) for k in range(6)]
    return [10_000 + 2_000 * (chip - chip.mean()) / chip.std() for chip in chips]


def ground(chips: list[np.ndarray], rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Pixels of the mosaic: each chip with its mirror images makes a square of 1600 x 1600."""
    out = np.empty((rows.size, cols.size), np.float32)
    side = 2 * CHIP
    for down in np.unique(rows // side):
        at_rows = rows // side == down
        y = np.abs(rows[at_rows] % side - CHIP + 0.5).astype(int)  # there and back again
        for across in np.unique(cols // side):
            at_cols = cols // side == across
            x = np.abs(cols[at_cols] % side - CHIP + 0.5).astype(int)
            chip = chips[(5 * down + 3 * across) % len(chips)]
            out[np.ix_(at_rows, at_cols)] = chip[np.ix_(y, x)]
    return out


def truth(rows: np.ndarray, cols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Displacement (dx, dy), pixels, of ground at some rows and columns of `pre`.

    Waves of a pixel over kilometres, and ruptures of 2 px every 6000 columns, which lean.
    """
    y, x = (v.astype(np.float64) for v in np.meshgrid(rows, cols, indexing="ij"))
    distance = (x - 0.3 * y) % 6000 - 1000
    slip = np.where(np.abs(distance) < 1500, np.sign(distance) * np.exp(-np.abs(distance) / 300), 0)
    dx = 0.6 * np.sin(x / 700) * np.cos(y / 900) + 0.3 * slip
    dy = 0.4 * np.cos(x / 1100 + y / 800) + 1.0 * slip
    return dx, dy


def without_data(size: int, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """The wedges at the left and at the lower border, as of a scene that leans in its frame."""
    y, x = np.meshgrid(rows, cols, indexing="ij")
    return (x + 0.1 * y < 0.04 * size) | (y + 0.1 * x > 1.06 * size)


def write_pair(folder: Path, size: int, noise: float) -> tuple[Path, Path]:
    """Write the two images block by block, unless they are there."""
    import rasterio
    import xarray as xr
    from rasterio.windows import Window

    import xsubpix

    paths = folder / f"pre_{size}.tif", folder / f"post_{size}.tif"
    if all(path.exists() for path in paths):
        return paths
    start = time.perf_counter()
    chips = load_chips()
    profile: dict[str, Any] = {
        "driver": "GTiff", "width": size, "height": size, "count": 1, "dtype": "uint16",
        "crs": "EPSG:32611", "transform": rasterio.Affine(PIXEL, 0, 4e5, 0, -PIXEL, 4e6),
        "nodata": 0, "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate",
        "predictor": 2, "zlevel": 1,
    }  # fmt: skip

    def block(place: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        top, left = place
        rows, cols = (
            np.arange(first - MARGIN, min(first + BLOCK, size) + MARGIN) for first in place
        )
        pixels = ground(chips, rows, cols)
        rng = np.random.default_rng([size, top, left])
        moved = xsubpix.warp_quintic(
            xr.DataArray(pixels, dims=("y", "x")), truth(rows, cols), max_displacement=4
        ).values
        inner = (slice(MARGIN, -MARGIN),) * 2
        pixels, moved = pixels[inner], 0.8 * moved[inner] + 1500
        missing = without_data(size, rows[inner[0]], cols[inner[1]])
        out = []
        for image in (pixels, moved):
            image = image + noise * rng.normal(size=image.shape)
            image = np.where(missing | ~np.isfinite(image), 0, image.clip(1, 65535).round())
            out.append(image.astype(np.uint16))
        return out[0], out[1]

    places = [(i, j) for i in range(0, size, BLOCK) for j in range(0, size, BLOCK)]
    parts = [path.with_suffix(".part.tif") for path in paths]
    with (
        rasterio.open(parts[0], "w", **profile) as one,
        rasterio.open(parts[1], "w", **profile) as two,
        ThreadPoolExecutor(2) as pool,
    ):
        # A row of blocks at a time, so that no more than that waits to be written.
        for top in range(0, size, BLOCK):
            row = [place for place in places if place[0] == top]
            for (i, j), images in zip(row, pool.map(block, row), strict=True):
                for file, pixels in zip((one, two), images, strict=True):
                    file.write(pixels, 1, window=Window(j, i, *pixels.shape[::-1]))
    for part, path in zip(parts, paths, strict=True):
        os.replace(part, path)
    print(f"{size} x {size}: pair written in {time.perf_counter() - start:.0f} s", flush=True)
    return paths


# ------------------------------------------------------------------------- the command


class Run(NamedTuple):
    """What a command took."""

    code: int
    wall: float
    cpu: float
    peak: float  # MB


def tree_memory(pid: int) -> float:
    """Resident memory of a process and its descendants, MB."""
    children: dict[int, list[int]] = {}
    resident: dict[int, float] = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            text = Path("/proc", entry, "status").read_text()
        except OSError:
            continue
        lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        children.setdefault(int(lines["PPid"]), []).append(int(entry))
        resident[int(entry)] = float(lines.get("VmRSS", "0 kB").split()[0]) / 1024
    total, todo = 0.0, [pid]
    while todo:
        one = todo.pop()
        total += resident.get(one, 0.0)
        todo += children.get(one, [])
    return total


def run(command: list[str], log: Path, journal: Path, kill_after: int | None) -> Run:
    """Run a command; kill it (-9) when its journal names so many blocks."""
    before, start, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), 0.0
    with log.open("a") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        try:
            while process.poll() is None:
                peak = max(peak, tree_memory(process.pid))
                if kill_after is not None and blocks_done(journal) >= kill_after:
                    process.send_signal(signal.SIGKILL)
                time.sleep(0.1)
        finally:
            process.kill()
            process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(process.returncode, time.perf_counter() - start, cpu, peak)


def blocks_done(journal: Path) -> int:
    """Blocks that a journal names."""
    try:
        return max(0, journal.read_text().count("\n") - 2)
    except OSError:
        return 0


# ------------------------------------------------------------------------- the result


def compare(out: Path, size: int, step: int, tile: int) -> dict[str, float]:
    """Errors against the truth and steps across borders of tiles, pixels, row by row of tiles."""
    import rasterio
    from rasterio.windows import Window

    errors, flagged, count, empty = [], 0, 0, 0
    steps = {True: [0.0, 0], False: [0.0, 0]}  # across borders: sum of squares, number
    with rasterio.open(out) as file:
        for top in range(0, file.height, 512):
            window = Window(0, top, file.width, min(512, file.height - top))
            east, north, flags = (file.read(k, window=window) for k in (1, 2, 5))
            rows = (top + np.arange(east.shape[0])) * step + (step - 1) / 2
            cols = np.arange(file.width) * step + (step - 1) / 2
            dx, dy = truth(rows, cols)
            error = np.stack([east / PIXEL - dx, -north / PIXEL - dy])
            told = np.isfinite(east)
            good = told & (np.nan_to_num(flags).astype(int) & ~2 == 0)
            nowhere = without_data(size, rows, cols)
            count += int((~nowhere).sum())
            empty += int((~told & ~nowhere).sum())
            flagged += int((told & ~good & ~nowhere).sum())
            errors.append(error[:, good][:, ::7].astype(np.float32))
            jump = np.where(good[:, 1:] & good[:, :-1], np.diff(error, axis=2)[1], np.nan)
            told_here = np.abs(jump) < 0.1  # neither a rupture nor an outlier
            square = np.where(told_here, jump, 0.0) ** 2
            for border in range(tile, file.width, tile):
                # Step k is from column k to the next. Beside the border, for what is usual
                # here, every second one: networks work on blocks of 2 x 2.
                beside = [border - 1 + k for k in (-8, -6, -4, -2, 2, 4, 6, 8)]
                beside = [k for k in beside if 0 <= k < file.width - 1]
                for where, at in ((True, [border - 1]), (False, beside)):
                    steps[where][0] += float(square[:, at].sum())
                    steps[where][1] += int(told_here[:, at].sum())
    both = np.concatenate(errors, axis=1)
    size_of = np.hypot(*both)
    rms = {where: (total / max(number, 1)) ** 0.5 for where, (total, number) in steps.items()}
    return {
        "median": float(np.median(size_of)),
        "rms": float(np.sqrt(np.mean(size_of[size_of < 2.0] ** 2))),
        "flagged": 100.0 * flagged / count,
        "missing": 100.0 * empty / count,
        "border": rms[True],
        "elsewhere": rms[False],
    }


def seams_at_corners(
    pair: tuple[Path, Path], out: Path, model: str, options: dict[str, Any], tile: int
) -> float:
    """Largest difference, pixels, to tiles that have a corner of four tiles in their middle."""
    import rasterio
    import rasterio.windows

    import xsubpix

    images = [xsubpix.open_image(path) for path in pair]
    size, reach, near = images[0].shape[0], 448, 48
    corners = [
        (k * tile, m * tile)
        for k, m in ((1, 1), (2, 1), (1, 2), (3, 2))
        if max(k, m) * tile + reach <= size
    ]
    worst = float("nan")
    for row, col in corners:
        first = max(0, row - reach), max(0, col - reach)
        part = [image[first[0] : row + reach, first[1] : col + reach].compute() for image in images]
        again = xsubpix.correlate(*part, model=model, **{**options, "tile_size": 2 * reach})
        here = tuple(
            slice(at - begin - near, at - begin + near)
            for at, begin in zip((row, col), first, strict=True)
        )
        window = rasterio.windows.Window(col - near, row - near, 2 * near, 2 * near)
        with rasterio.open(out) as file:
            for band, name in ((1, "east"), (2, "north")):
                apart = np.abs(file.read(band, window=window) - again[name].values[here]) / PIXEL
                worst = float(np.nanmax([worst, np.nanmax(apart)]))
    return worst


# ------------------------------------------------------------------------- the table


def measure(folder: Path, size: int, spec: str, kill_at: float | None, noise: float) -> list[str]:
    """One row of the table."""
    import xsubpix
    from xsubpix.estimators.registry import create

    model, _, text = spec.partition(":")
    options: dict[str, Any] = {
        k: int(v) for k, _, v in (part.partition("=") for part in text.split(",") if part)
    }
    pair = write_pair(folder, size, noise)
    label = spec.replace(":", "_").replace(",", "_").replace("=", "")
    out = folder / f"disp_{size}_{label}.tif"
    journal, log = folder / f".{out.name}.journal", folder / f"disp_{size}_{label}.log"
    for path in (out, journal, journal.with_suffix(".partial"), log):
        path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "xsubpix", "correlate", *map(str, pair), str(out)]
    command += ["--model", model]
    for key, value in options.items():
        command += [f"--{key}", str(value)]
    images = [xsubpix.open_image(path) for path in pair]
    blocks = xsubpix.correlate(*images, model=model, **options).east.data.npartitions
    estimator = create(model, **options)
    step, tile = estimator.step, estimator.tile

    runs, note = [], ""
    if kill_at is not None:
        runs.append(run(command, log, journal, max(1, round(kill_at * blocks))))
        note = f"{blocks_done(journal)} of {blocks}" if runs[0].code == -signal.SIGKILL else "no"
        if out.exists() and note != "no":
            raise SystemExit(f"{out} was there before it was whole")
    if not out.exists():
        runs.append(run(command, log, journal, None))
    if runs[-1].code != 0:
        raise SystemExit(f"the command ended with {runs[-1].code}:\n{log.read_text()[-2000:]}")
    found = compare(out, size, step, tile)
    network = hasattr(estimator, "digest") and step == 1
    seam = seams_at_corners(pair, out, model, options, tile) if network else float("nan")
    wall, cpu = (sum(getattr(one, what) for one in runs) for what in ("wall", "cpu"))
    mega = size * size / 1e6
    row = [
        spec, str(size), f"{mega:.0f}", f"{wall:.0f}", f"{cpu:.0f}", f"{cpu / mega:.2f}",
        f"{cpu / wall:.2f}", f"{max(one.peak for one in runs):.0f}", note,
        f"{found['median']:.3f}", f"{found['rms']:.3f}", f"{found['flagged']:.1f}",
        f"{found['missing']:.1f}", f"{found['border']:.4f} / {found['elsewhere']:.4f}",
        "" if np.isnan(seam) else f"{seam:.4f}",
    ]  # fmt: skip
    print("  ".join(row), flush=True)
    return row


HEAD = [
    "model", "side, px", "Mpx", "wall, s", "CPU, s", "CPU s / Mpx", "cores busy", "peak, MB",
    "killed at block", "median error, px", "rms below 2 px", "flagged, %", "missing, %",
    "step at / off tile borders, px", "seam at corners, px",
]  # fmt: skip

READ = [
    "Time and memory of ``xsubpix correlate`` on whole scenes, and its result where blocks meet:",
    "",
    "* *peak, MB* is the memory of all processes of the command together. It grows little with the "
    "size of the scene.",
    "* *CPU s / Mpx* is CPU time for a million pixels; *cores busy* is CPU time over wall time.",
    "* *killed at block*: the command was killed with signal 9 there, and started again.",
    "* *rms below 2 px*: root mean square error of the values whose error is below 2 px.",
    "* *step at / off tile borders*: root mean square difference of neighbouring values there and "
    "elsewhere. Where there is no seam, both are equal.",
    "* *seam at corners*: the largest difference between values near the corners of tiles and "
    "those of one tile around them.",
]


def as_rst(rows: list[list[str]], command: str) -> str:
    """The page."""
    title = "Whole scenes"
    lines = [title, "=" * len(title), "", f"Written by ``{command}``.", ""]
    said = " ".join(line.strip() for line in (__doc__ or "").split("\n\n")[-1].splitlines())
    lines += [*READ, "", ".. list-table::", "   :header-rows: 1", ""]
    for row in (HEAD, *rows):
        for k, cell in enumerate(row):
            lines.append(f"   {'*' if k == 0 else ' '} - {cell}".rstrip())
    lines += ["", "How the pairs are made", "-" * 22, "", said]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make the pairs, run the command, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="for images and results")
    parser.add_argument("--sizes", type=int, nargs="+", default=[2000])
    parser.add_argument("--models", nargs="+", default=["unet", "cosi-corr:step=4"])
    parser.add_argument("--kill-at", type=float, help="share of the blocks; then -9, and resumed")
    parser.add_argument("--noise", type=float, default=200.0, help="of 2000 of contrast")
    parser.add_argument(
        "--out", type=Path, help="page to write, *.rst: all that was run in the folder"
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    print("  ".join(HEAD), flush=True)
    kept = options.folder / "rows.json"
    rows = json.loads(kept.read_text()) if kept.exists() else {}
    for size in options.sizes:
        for spec in options.models:
            row = measure(options.folder, size, spec, options.kill_at, options.noise)
            rows[f"{spec} {size:06d}"] = row
            kept.write_text(json.dumps(rows, indent=1))
            if options.out:
                table = [rows[key] for key in sorted(rows, key=lambda k: (k.split()[0], k))]
                options.out.write_text(
                    as_rst(table, "python benchmarks/full_scene.py --folder FOLDER --out PAGE")
                )


if __name__ == "__main__":
    main()
