"""What the benchmarks share: real chips, exact shifts, noise, tables."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage

DATA = Path(os.environ.get("XSUBPIX_DATA", "../shared/data"))


def chips_of_test_split(count: int = 6) -> list[tuple[str, np.ndarray]]:
    """Panchromatic chips of the test split, or procedural scenes where they are absent."""
    paths = sorted((DATA / "landsat7").glob("P090R083_*_pan.tif"))[:count]
    if paths:
        import rasterio

        chips = []
        for path in paths:
            with rasterio.open(path) as source:
                chips.append((path.stem, source.read(1).astype(np.float64)))
        return chips
    from xsubpix.tutorial import procedural_scene

    print(f"({DATA} is absent: procedural scenes instead of real chips)")
    return [
        (f"scene {seed}", procedural_scene((800, 800), seed=seed).values.astype(np.float64))
        for seed in range(count)
    ]


def fourier_shift(image: np.ndarray, dy: float, dx: float) -> np.ndarray:
    """Move an image by an exact sub-pixel amount; mirrored, so that nothing wraps."""
    rows, cols = image.shape
    even = np.block([[image, image[:, ::-1]], [image[::-1], image[::-1, ::-1]]])
    spectrum = scipy.ndimage.fourier_shift(np.fft.fft2(even), (dy, dx))
    return np.fft.ifft2(spectrum).real[:rows, :cols]


def local_std(image: np.ndarray, window: int = 32) -> np.ndarray:
    """Standard deviation of every window of an image."""
    mean = scipy.ndimage.uniform_filter(image, window)
    return np.sqrt(np.maximum(scipy.ndimage.uniform_filter(image**2, window) - mean**2, 0.0))


def noise_for(image: np.ndarray, correlation: float, window: int = 32) -> float:
    """White noise, one standard deviation for both images, of a mean local correlation.

    A window of variance v has correlation v / (v + s**2); s is solved for the mean
    over the image: "pair correlation" as the databases of stable pairs define it.
    """
    variance = local_std(image, window)[window:-window:8, window:-window:8] ** 2
    low, high = 0.0, 10.0 * float(np.sqrt(variance.mean()))
    for _ in range(60):
        middle = (low + high) / 2
        if np.mean(variance / (variance + middle**2)) > correlation:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def write_figures(folder: str | None, name: str, figures: dict[str, Any]) -> None:
    """Keep a benchmark's figures as FOLDER/NAME.json, from which the documentation takes them.

    Methods that the file has and this run has not stay in it.
    """
    if folder is None:
        return
    path = Path(folder) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    text = json.dumps(_plain(kept | figures), indent=1, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """Value as JSON has it: numbers of numpy as Python's, null for NaN and infinity."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, str | int):
        return value
    return float(value) if math.isfinite(value) else None
