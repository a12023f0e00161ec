"""Make the scenes that ``unet-5.toml`` learns from: second dates of real images.

    python training/scenes.py IMAGES training/scenes

IMAGES is the folder of development images (``XSUBPIX_DATA``). Panchromatic and multispectral
chips of ``landsat7`` are used as in the databases (scene ``P091R083`` for validation, ``P090R083``
for tests and thus not at all), and the bands of ``single_date`` for training. Images of
``two_dates`` are left out. Takes ten minutes of one core and 1.3 GB.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import rasterio

from xsubpix.training.ground import build_scenes

VALIDATION, TEST = "P091R083", "P090R083"
# Second dates of each image of single_date.
SINGLE = {
    "sentinel2_virginia_ms": 90,
    "landsat8_greenland_ms": 90,
    "landsat7_everest_ms": 60,
    "landsat8_pan_robinson_il": 15,
}


def bands(path: Path) -> np.ndarray:
    """All bands of a file, shape ``(bands, h, w)``."""
    with rasterio.open(path) as source:
        return source.read().astype(np.float32)


def main() -> None:
    """Write the scenes of both splits."""
    images, out = Path(sys.argv[1]), Path(sys.argv[2])
    for split, per_pan, per_ms in (("validation", 2, 3), ("train", 10, 36)):
        surfaces: dict[str, np.ndarray] = {}
        each: dict[str, int] = {}
        twins: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for path in sorted((images / "landsat7").glob("*_pan.tif")):
            name = path.stem.removesuffix("_pan")
            if name.startswith(TEST) or name.startswith(VALIDATION) != (split == "validation"):
                continue
            pan, colours = bands(path)[0], bands(path.with_name(f"{name}_ms.tif"))
            surfaces[f"{name}pan"], each[f"{name}pan"] = pan, per_pan
            surfaces[f"{name}ms"], each[f"{name}ms"] = colours, per_ms
            # Multispectral pixel i covers the panchromatic pixels 2 i - 1 and 2 i.
            shifted = np.pad(pan, ((1, 0), (1, 0)), mode="edge")[:-1, :-1]
            rows, cols = (n // 2 for n in shifted.shape)
            twins[name] = shifted.reshape(rows, 2, cols, 2).mean((1, 3)), colours
        if split == "train":
            for name, number in SINGLE.items():
                surfaces[name] = bands(images / "single_date" / f"{name}.tif")
                each[name] = number
        seed = 6 if split == "validation" else 5
        build_scenes(surfaces, out / split, seed=seed, each=each, twins=twins)


if __name__ == "__main__":
    main()
