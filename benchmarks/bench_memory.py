"""Peak memory of a lazy 4096 x 4096 pair, GeoTIFF to GeoTIFF, at ``step=4``.

    python benchmarks/bench_memory.py [--size 4096] [--step 4]

The whole pair as float32 is 134 MB; the peak is that of the whole process, torch and
GDAL included.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def write_scene(path: Path, size: int, shift: int) -> None:
    """Write a tiled GeoTIFF of texture, moved by whole pixels, strip by strip."""
    import rasterio
    from rasterio.windows import Window
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    patch = gaussian_filter(rng.normal(size=(1024, 1024)), 1.2, mode="wrap")
    patch = (100 + 40 * patch / patch.std()).clip(0, 255).astype(np.uint8)
    profile = {
        "driver": "GTiff", "width": size, "height": size, "count": 1, "dtype": "uint8",
        "crs": "EPSG:32611", "transform": rasterio.Affine(15, 0, 5e5, 0, -15, 4e6),
        "tiled": True, "blockxsize": 512, "blockysize": 512,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as out:
        rows = (np.arange(size) - shift) % 1024
        cols = (np.arange(size) - 2 * shift) % 1024
        for top in range(0, size, 512):
            strip = patch[rows[top : top + 512]][:, cols]
            out.write(strip, 1, window=Window(0, top, size, len(strip)))


def child(pre: str, post: str, out: str, step: int) -> None:
    """Correlate and print the median displacement, CPU time and peak memory."""
    from xsubpix import cli

    start, cpu = time.perf_counter(), time.process_time()
    code = cli.main(["correlate", pre, post, out, "--step", str(step), "--quiet"])
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    import rasterio

    with rasterio.open(out) as field:
        east, north = (np.nanmedian(field.read(k)) for k in (1, 2))
    print(
        f"exit {code}; median ({east:.3f}, {north:.3f}) m; {cpu:.0f} CPU s, {wall:.0f} s; "
        f"peak memory of the process {peak:.0f} MB (wanted: below 1000)"
    )


def main() -> None:
    """Write the pair, correlate it in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--step", type=int, default=4)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child, options.step)
        return
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, name) for name in ("pre.tif", "post.tif", "out.tif")]
        write_scene(Path(files[0]), options.size, 0)
        write_scene(Path(files[1]), options.size, 1)
        print(f"{options.size} x {options.size}, step {options.step}: true (30.000, -15.000) m")
        command = [sys.executable, __file__, "--step", str(options.step), "--child", *files]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
