"""Quintic resampling in torch: the numbers of SciPy, on any device, with gradients."""

from __future__ import annotations

import numpy as np
import torch

from ..errors import ModelError

__all__ = ["sample_quintic_torch"]


def sample_quintic_torch(
    image: torch.Tensor, rows: torch.Tensor, cols: torch.Tensor
) -> torch.Tensor:
    """Values of images between their pixels, by quintic B-splines with prefilter.

    Parameters
    ----------
    image : torch.Tensor
        Shape (..., h, w), floating point, nothing missing.
    rows, cols : torch.Tensor
        Positions in pixels (centres at whole numbers), shape (..., p, q), the
        leading dimensions those of `image`.

    Returns
    -------
    torch.Tensor
        Shape (..., p, q), differentiable in image and positions; images are
        continued by reflection on their border pixels, as in SciPy's "mirror".

    Raises
    ------
    ModelError
        torch-interpol is not installed.
    """
    try:
        import interpol
    except ImportError as error:
        raise ModelError(
            "quintic resampling in torch needs torch-interpol: pip install 'xsubpix[warp]'. "
            "On the CPU, device='cpu' does without."
        ) from error
    lead = image.shape[:-2]
    stack = image.reshape(-1, 1, *image.shape[-2:])
    places = torch.stack([rows, cols], -1).reshape(stack.shape[0], *rows.shape[-2:], 2)
    values = interpol.grid_pull(
        stack, places, interpolation=5, bound="dct1", extrapolate=True, prefilter=True
    )
    return values.reshape(*lead, *rows.shape[-2:])


def sample_quintic_on(
    device: str, image: np.ndarray, rows: np.ndarray, cols: np.ndarray
) -> np.ndarray:
    """Sample an array on a device, in double precision.

    Parameters
    ----------
    device : str
        A torch device.
    image : numpy.ndarray
        Shape (h, w), nothing missing.
    rows, cols : numpy.ndarray
        Positions in pixels, shape (p, q).

    Returns
    -------
    numpy.ndarray of float32
        Shape (p, q); see :func:`sample_quintic_torch`.

    Raises
    ------
    ModelError
        torch-interpol is not installed.
    """
    tensors = (torch.as_tensor(x, dtype=torch.float64) for x in (image, rows, cols))
    values = sample_quintic_torch(*(t.to(device) for t in tensors))
    return np.asarray(values.float().cpu().numpy())
