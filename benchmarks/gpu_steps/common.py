"""What the steps share: settings, rows, the pair, timing on a device."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xsubpix import devices

Row = dict[str, Any]
Rows = Iterator[Row]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Sizes of the steps, and where they run."""

    device: str
    folder: str
    #: Side of the pair of `agreement`, pixels, and width of networks without weights.
    side: int
    width: float
    windows: tuple[int, ...]
    #: Tiles that `speed` measures at once, at most.
    tiles: int
    #: Side of the lazy pairs, pixels.
    scene: int
    large_scene: int
    steps: int
    crop: int
    batch: int

    @classmethod
    def of(cls, size: str, device: str, folder: str) -> Settings:
        """Settings of a size: ``"full"`` for a GPU, ``"small"`` and ``"tiny"`` for a CPU."""
        values: tuple[Any, ...] = {
            "full": (1024, 1.0, (512, 1024, 2048), 16, 8192, 15_000, 50, 192, 16),
            "small": (192, 0.125, (128, 256), 2, 384, 512, 8, 64, 2),
            "tiny": (128, 0.125, (128,), 2, 192, 256, 4, 64, 2),
        }[size]
        return cls(device, folder, *values)

    @property
    def cuda(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.startswith("cuda")

    def model(self) -> str:
        """Model of the steps: ``unet``; on the CPU a small network with random weights."""
        return "unet" if self.cuda else random_weights(self, "window-cnn")


def row(
    what: str, value: float | str, unit: str = "", goal: str = "", ok: bool | None = None
) -> Row:
    """One result; `ok` says whether a goal was met, None where there is none to meet."""
    return {"what": what, "value": value, "unit": unit, "goal": goal, "ok": ok}


def below(what: str, value: float, most: float, unit: str) -> Row:
    """A result that must not be above a bound."""
    return row(what, value, unit, f"<= {most:g}", bool(value <= most))


def random_weights(settings: Settings, name: str) -> str:
    """File of weights of an architecture, the same ones each time."""
    from xsubpix.networks import build_network
    from xsubpix.networks.weights import save_network

    path = Path(settings.folder) / f"{name}-{settings.width}.safetensors"
    if not path.exists():
        torch.manual_seed(1)
        save_network(path, build_network(name, width=settings.width))
    return str(path)


def pair(side: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Texture seen twice, `side` x `side` pixels: a step of two pixels, noise, missing pixels."""
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    unit = min(side, 1024) + 8
    ground = ndimage.gaussian_filter(rng.normal(size=(unit, unit)), 1.2, mode="wrap")
    times = -(-side // unit)
    pre = np.tile(1000 + 400 * ground / ground.std(), (times, times))[:side, :side]
    post = np.roll(pre, (1, -1), (0, 1))
    post[:, side // 2 :] = np.roll(pre, (-1, 0), (0, 1))[:, side // 2 :]
    post = post + 20 * rng.normal(size=(unit, unit)).repeat(times, 0)[:side][:, :1]
    images = [pre.astype(np.float32), post.astype(np.float32)]
    images[0][: side // 16, : side // 8] = np.nan
    return images[0], images[1]


def synchronise(device: str) -> None:
    """Wait for all work of a GPU."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def seconds_of(device: str, work: Callable[[], Any], repeats: int = 1) -> float:
    """Least wall seconds of some work, its end on the device included."""
    least = float("inf")
    for _ in range(repeats):
        synchronise(device)
        start = time.perf_counter()
        work()
        synchronise(device)
        least = min(least, time.perf_counter() - start)
    return least


def forget_memory() -> None:
    """Give back what nothing refers to."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


@contextlib.contextmanager
def precision(name: str) -> Iterator[None]:
    """Convolutions in ``"bfloat16"``, ``"tf32"`` or ``"float32"``."""
    from xsubpix.estimators import network

    kept = (
        devices.has_bfloat16,
        network._fast_bfloat16,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
    )
    half = name == "bfloat16"
    devices.has_bfloat16 = lambda device: half
    network._fast_bfloat16 = lambda: half
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
    try:
        yield
    finally:
        devices.has_bfloat16, network._fast_bfloat16 = kept[:2]
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = kept[2:]


@contextlib.contextmanager
def replaced(original: Any, other: Any) -> Iterator[None]:
    """Put another function in the place of one, in every module of the package."""
    changed = []
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "xsubpix":
            for key, value in list(vars(module).items()):
                if value is original:
                    setattr(module, key, other)
                    changed.append((module, key))
    try:
        yield
    finally:
        for module, key in changed:
            setattr(module, key, original)
