"""Training: samples a second, the same loss as on the CPU, and going on."""

from __future__ import annotations

import contextlib
import csv
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xsubpix.training.config import Source, TrainConfig
from xsubpix.training.loop import train
from xsubpix.training.samples import Augmentation, Frame
from xsubpix.training.validation import draw_curves, draw_samples

from .common import Rows, Settings, below, pair, precision, replaced, row

SAME_LOSS = 0.01


class Shifted:
    """Frames of one texture, moved by whole pixels."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.ground = np.nan_to_num(pair(side + 64)[0], nan=1000.0)

    def __len__(self) -> int:
        return 16

    def draw(self, index: int, rng: np.random.Generator) -> Frame:
        """One frame; see :class:`xsubpix.training.samples.Frames`."""
        dx, dy = (int(v) for v in rng.integers(-2, 3, 2))
        row_, col = 4 + index, 4 + 2 * index
        flow = np.empty((2, self.side, self.side), np.float32)
        flow[0], flow[1] = dx, dy
        pre, post = (
            self.ground[i : i + self.side, j : j + self.side].copy()
            for i, j in ((row_, col), (row_ - dy, col - dx))
        )
        return Frame(pre, post, flow)


def steps(settings: Settings) -> Rows:
    """Loss against the CPU's, speed, and a run that was stopped."""
    losses, took = [], 0.0
    for name, device in (("cpu", "cpu"), ("device", settings.device)):
        with precision("float32"):
            loss, took = run(settings, name, device, half=False)
        losses.append(loss)
    yield row("single precision", settings.batch * settings.steps / took, "samples/s")
    apart = abs(losses[1] - losses[0]) / losses[0]
    what = f"training loss over {settings.steps} steps, relative to the CPU's"
    yield below(what, apart, SAME_LOSS, "")
    loss, took = run(settings, "half", settings.device, half=True)
    yield row("mixed precision", settings.batch * settings.steps / took, "samples/s")
    yield row("mixed precision: loss, relative", abs(loss - losses[0]) / losses[0])
    with cheap_compiler(settings):
        options: dict[str, Any] = {"half": True, "compile": True}
        if settings.cuda:
            run(settings, "warm", settings.device, steps=2, **options)
        else:
            # Its graph is captured in seconds instead of minutes.
            options["network"] = {"width": settings.width, "levels": [1, 1]}
        _, took = run(settings, "compiled", settings.device, **options)
    yield row("mixed precision, compiled", settings.batch * settings.steps / took, "samples/s")
    yield below("resumed: change of the weights", resumed(settings), bound(settings), "relative")


def bound(settings: Settings) -> float:
    """Change of the weights that a stop may make: none on the CPU."""
    return 1e-2 if settings.cuda else 0.0


def run(
    settings: Settings, name: str, device: str, stop_at: int | None = None, **changes: Any
) -> tuple[float, float]:
    """Mean training error, pixels, and seconds of a run."""
    config = TrainConfig(**{
        "network": {"width": settings.width}, "data": (Source("none"),), "steps": settings.steps,
        "batch": settings.batch, "crop": settings.crop, "validate_every": settings.steps // 2,
        "validation_frames": 1, "warmup": 2, "augmentation": Augmentation(shift=0), **changes,
    })  # fmt: skip
    folder = Path(settings.folder) / f"run-{name}"
    frames = [Shifted(settings.crop + 16)]
    with replaced(draw_samples, nothing), replaced(draw_curves, nothing):
        start = time.perf_counter()
        train(config, folder, device=device, sources=frames, stop_at=stop_at, progress=False)
        took = time.perf_counter() - start
    with (folder / "progress.csv").open(newline="") as file:
        losses = [float(line["training"]) for line in csv.DictReader(file)]
    return float(np.mean(losses)), took


def nothing(*arguments: Any) -> None:
    """Draw no pictures: they take as long as many steps of a run as short as these."""


def resumed(settings: Settings) -> float:
    """Relative difference of the weights of a run that was stopped half-way."""
    from safetensors.torch import load_file

    # The whole run is that of the comparison with the CPU.
    with precision("float32"):
        run(settings, "parts", settings.device, half=False, stop_at=settings.steps // 2)
        run(settings, "parts", settings.device, half=False)
    one, two = (
        load_file(Path(settings.folder) / f"run-{name}" / "weights.safetensors")
        for name in ("device", "parts")
    )
    change = sum(float((one[k].float() - two[k].float()).square().sum()) for k in one)
    size = sum(float(one[k].float().square().sum()) for k in one)
    return float((change / size) ** 0.5)


@contextlib.contextmanager
def cheap_compiler(settings: Settings) -> Iterator[None]:
    """On the CPU, capture the graph without making code of it, which takes minutes."""
    compile_ = torch.nn.Module.compile
    if not settings.cuda:
        torch.nn.Module.compile = lambda self: compile_(self, backend="eager")
    try:
        yield
    finally:
        torch.nn.Module.compile = compile_
