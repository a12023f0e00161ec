"""Images with detail of some pixels, as networks take them."""

import numpy as np
import torch
from scipy import ndimage


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Image with detail of some pixels."""
    rng = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(rng.standard_normal((height, width)), 0.9)
    return (image / image.std()).astype(np.float32)


def tensor(image: np.ndarray) -> torch.Tensor:
    """Batch of one image of one channel."""
    return torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))[None, None]
