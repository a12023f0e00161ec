"""All that a GPU does, step by step: right, how fast, and what bounds it.

    python benchmarks/gpu.py [--out docs/benchmarks] [--size full|small|tiny] [--only STEP ...]
        [--patience 1]

Writes ``gpu.json`` and ``gpu.rst`` after every result, so that an interruption loses nothing. Each
step is a process of its own and is stopped when its seconds are over: 600 s for all. Without CUDA
it says so, and the same steps run on the CPU with small sizes (``--size tiny`` is for tests).

A bare machine needs no network, only a folder of wheels made elsewhere, of the same Python and of
the machine's own torch, which stays: ``pip download -d wheels -c constraints.txt`` with affine,
cutde, dask, distributed, numpy, pyproj, rasterio, rioxarray, safetensors, scipy, xarray,
torch-interpol, matplotlib, threadpoolctl, zarr; and for cutde on CUDA pycuda, which is built from
source with the machine's nvcc (all others run without it). There ``pip install --no-index
--no-deps wheels/*.whl``, and ``PYTHONPATH=src``. torch.compile needs triton: it comes with torch.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from gpu_steps.page import page


class Step(NamedTuple):
    """A step: its name, title, module and function, and the seconds that it may take."""

    name: str
    title: str
    function: str
    budget: float


STEPS = (
    Step("agreement", "Results against the CPU", "agreement.steps", 100),
    Step("speed", "Speed and memory of the network", "speed.steps", 130),
    Step("utilisation", "A lazy scene", "scene.utilisation", 80),
    Step("memory", "Out of memory", "sharing.out_of_memory", 40),
    Step("streams", "Threads", "sharing.streams", 40),
    Step("cluster", "Two processes on one device", "sharing.cluster", 40),
    Step("training", "Training", "learning.steps", 100),
    Step("large", "A whole scene", "scene.large", 70),
)


def machine(pipe: Any) -> None:
    """Send what there is, from a process that ends: CUDA does not survive a fork."""
    import torch

    cuda = torch.cuda.is_available()
    card = torch.cuda.get_device_name() if cuda else ""
    pipe.send({"cuda": cuda, "card": card, "torch": torch.__version__})


def work(function: str, size: str, device: str, folder: str, pipe: Any) -> None:
    """Run a step, and send its rows."""
    module, name = function.split(".")
    try:
        from gpu_steps.common import Settings

        steps = getattr(importlib.import_module(f"gpu_steps.{module}"), name)
        for row in steps(Settings.of(size, device, folder)):
            pipe.send(row)
    except BaseException as error:
        pipe.send(f"{type(error).__name__}: {error}"[:300])
        raise
    pipe.send(None)


def run_step(context: Any, step: Step, arguments: tuple[str, str, str], write: Any) -> bool:
    """Run a step within its seconds; report every row as it comes. True if all went well."""
    result: dict[str, Any] = {
        "name": step.name, "title": step.title, "budget": step.budget, "seconds": 0.0,
        "state": "running", "message": "", "rows": [],
    }  # fmt: skip
    print(f"{step.title} (at most {step.budget:.0f} s)", flush=True)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(step.function, *arguments, theirs))
    start = time.monotonic()
    process.start()
    theirs.close()
    while result["state"] == "running":
        left = step.budget - (time.monotonic() - start)
        try:
            found = ours.recv() if ours.poll(max(0.0, left)) else "over its time"
        except EOFError:
            found = "ended without a word"
        if found is None:
            result["state"] = "Done"
        elif isinstance(found, str):
            result["state"] = "Stopped" if found == "over its time" else "Failed"
            result["message"] = found
        else:
            result["rows"].append(found)
            print("  " + json.dumps(found), flush=True)
        result["seconds"] = time.monotonic() - start
        write(result)
    # A step that is done ends by itself; its cluster's processes end with it.
    process.join(5 if result["state"] == "Done" else 0.5)
    process.kill()
    process.join()
    print(f"  {result['state']} after {result['seconds']:.0f} s {result['message']}", flush=True)
    return result["state"] == "Done" and all(row["ok"] is not False for row in result["rows"])


def main() -> int:
    """Run the steps; 1 if one failed or missed a goal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    parser.add_argument("--size", choices=("full", "small", "tiny"))
    parser.add_argument("--patience", type=float, default=1.0, help="multiplies the seconds")
    parser.add_argument("--only", nargs="+", choices=[step.name for step in STEPS])
    options = parser.parse_args()
    kinds = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in kinds else "spawn")
    if "forkserver" in kinds:
        # Packages are imported once, not by every step; none of them touches the GPU.
        context.set_forkserver_preload(["gpu_steps.common", "xsubpix", "torch"])
    ours, theirs = context.Pipe(duplex=False)
    context.Process(target=machine, args=(theirs,)).start()
    results: dict[str, Any] = {**ours.recv(), "steps": []}
    size = options.size or ("full" if results["cuda"] else "small")
    results["size"] = size
    if results["cuda"]:
        print(f"{results['card']}, torch {results['torch']}", flush=True)
    else:
        print("No CUDA device: the same steps on the CPU, with small sizes.", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)

    def write(result: dict[str, Any]) -> None:
        if not results["steps"] or results["steps"][-1]["name"] != result["name"]:
            results["steps"].append(result)
        for name, text in (("gpu.json", json.dumps(results, indent=1)), ("gpu.rst", page(results))):
            part = options.out / f"{name}.part"
            part.write_text(text + "\n")
            os.replace(part, options.out / name)

    well = True
    with tempfile.TemporaryDirectory() as folder:
        for step in STEPS:
            if not options.only or step.name in options.only:
                step = step._replace(budget=options.patience * step.budget)
                device = "cuda" if results["cuda"] else "cpu"
                well &= run_step(context, step, (size, device, folder), write)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
