"""Means and correlations in a square around each pixel, in torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

__all__ = ["box_mean_torch", "local_correlation_torch"]


def box_mean_torch(values: torch.Tensor, side: int) -> torch.Tensor:
    """Mean over a centred square, with zeros beyond the border.

    Running sums in double precision: the cost does not depend on the side.

    Parameters
    ----------
    values : torch.Tensor
        Shape (n, c, h, w), float32, finite.
    side : int
        Side of the square, pixels, odd.

    Returns
    -------
    torch.Tensor of float32
        Shape (n, c, h, w).
    """
    if values.device.type == "cpu":
        # Several times faster than the same in torch.
        from scipy.ndimage import uniform_filter

        return torch.from_numpy(uniform_filter(values.numpy(), (1, 1, side, side), mode="constant"))
    out = values.double()
    for dim in (2, 3):
        pad = (side // 2 + 1, side // 2) if dim == 3 else (0, 0, side // 2 + 1, side // 2)
        total = F.pad(out, pad).cumsum(dim)
        n = out.shape[dim]
        out = (total.narrow(dim, side, n) - total.narrow(dim, 0, n)) / side
    return out.float()


def local_correlation_torch(
    one: torch.Tensor, two: torch.Tensor, known: torch.Tensor, side: int, faintest: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlate two images in a square around each pixel.

    The formula is that of :func:`xsubpix.kernels.local_correlation.local_correlation`.

    Parameters
    ----------
    one, two : torch.Tensor
        Shape (n, 1, h, w), float32, of about zero mean and unit deviation, finite.
    known : torch.Tensor
        Shape (n, 1, h, w): 1 where both images have a value, 0 elsewhere.
    side : int
        Side of the square, pixels, odd.
    faintest : float
        Variance from which on a square has texture.

    Returns
    -------
    correlation : torch.Tensor
        Shape (n, 1, h, w), 0 to 1: not below 0, and 0 without texture.
    textured : torch.Tensor
        Shape (n, 1, h, w), type of `one`: 1 where both squares have texture, else 0.
    """
    share = box_mean_torch(known, side).clamp_min(1e-6)

    def mean(values: torch.Tensor) -> torch.Tensor:
        return box_mean_torch(values * known, side) / share

    mean_one, mean_two = mean(one), mean(two)
    var_one = mean(one * one) - mean_one**2
    var_two = mean(two * two) - mean_two**2
    textured = (var_one > faintest) & (var_two > faintest)
    scale = (var_one * var_two).clamp_min(faintest**2).sqrt()
    correlation = (mean(one * two) - mean_one * mean_two) / scale
    return (correlation.clamp(0.0, 1.0) * textured).to(one.dtype), textured.to(one.dtype)
