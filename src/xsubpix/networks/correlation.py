"""Correlation of features: the cost volume of networks that compare two images."""

from __future__ import annotations

import torch
import torch.nn.functional as F

__all__ = ["correlation_layer"]


def correlation_layer(
    one: torch.Tensor, two: torch.Tensor, reach: int = 20, stride: int = 2
) -> torch.Tensor:
    """Mean product of features at every pixel and displacement.

    Parameters
    ----------
    one, two : torch.Tensor
        Features of the two images, shape ``(n, c, h, w)``.
    reach, stride : int
        Largest displacement along each axis and the step between those tried,
        pixels of the features.

    Returns
    -------
    torch.Tensor
        Shape ``(n, k * k, h, w)``, ``k = 2 * (reach // stride) + 1``: rows of
        displacements first. Zero beyond the border.

    References
    ----------
    Dosovitskiy, Fischer, Ilg et al. (2015), *FlowNet: learning optical flow with
    convolutional networks*, doi:10.1109/ICCV.2015.316.

    Examples
    --------
    >>> import torch
    >>> features = torch.ones(1, 3, 8, 8)
    >>> correlation_layer(features, features, reach=2, stride=1).shape
    torch.Size([1, 25, 8, 8])
    """
    height, width = one.shape[-2:]
    padded = F.pad(two, (reach, reach, reach, reach))
    lags = range(0, 2 * reach + 1, stride)
    return torch.cat(
        [
            (one * padded[..., i : i + height, j : j + width]).mean(1, keepdim=True)
            for i in lags
            for j in lags
        ],
        1,
    )
