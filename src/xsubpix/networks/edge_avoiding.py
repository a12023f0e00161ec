"""Mean of a flow over the surroundings that move alike: noise leaves, steps stay."""

from __future__ import annotations

import torch

from ..kernels.alike_mean import KERNEL, LARGEST

__all__ = ["REACH", "edge_avoiding_mean"]

# Distances of the neighbours, pixels.
_DISTANCES = (1, 2, 4, 8, 16)
# Flows that differ by so many spreads count for 1/e. Twice as many take more noise, and blur
# waves of less than 20 px; half as many leave the noise of second dates.
_TOLERANCE = 1.0

#: Pixels around one that have a say in its mean.
REACH = 2 * sum(_DISTANCES)


def edge_avoiding_mean(
    flow: torch.Tensor, log_spread: torch.Tensor, valid: torch.Tensor
) -> torch.Tensor:
    """Mean of the flow over neighbours whose flow is the same within its spread.

    A neighbour counts as far as it is sure of its flow (the inverse square of its spread), as
    it is near (a cubic B-spline) and as its flow is like the pixel's, compared with the spread
    of both, or with 0.15 px where that is less. Noise is averaged over tens of pixels where the
    ground moves alike, and ground that differs by more than noise does, at a rupture or at a
    shear margin, has no say.

    Parameters
    ----------
    flow : torch.Tensor
        Shape ``(n, 2, h, w)``, pixels.
    log_spread : torch.Tensor
        Logarithm of the spread of `flow`, pixels, shape ``(n, 1, h, w)``.
    valid : torch.Tensor
        1 where images have a value, else 0; shape ``(n, 1, h, w)``.

    Returns
    -------
    torch.Tensor
        Shape ``(n, 2, h, w)``.

    References
    ----------
    Dammertz et al. (2010), *Edge-avoiding à-trous wavelet transform for fast global
    illumination filtering*, doi:10.2312/EGGH/HPG10/067-075; the comparison with what is
    expected of noise is that of Schied et al. (2017), doi:10.1145/3105762.3105770.

    Examples
    --------
    >>> step = torch.zeros(1, 2, 32, 32)
    >>> step[..., 16:] = 1.0
    >>> noisy = step + 0.05 * torch.randn(step.shape, generator=torch.Generator().manual_seed(0))
    >>> spread = torch.full((1, 1, 32, 32), 0.05)
    >>> mean = edge_avoiding_mean(noisy, spread.log(), torch.ones(1, 1, 32, 32))
    >>> bool((mean - step).abs().mean() < 0.4 * (noisy - step).abs().mean())
    True
    """
    variance = (2 * log_spread).exp()
    precision = valid / variance
    tolerance = variance.clamp_max(LARGEST**2) * _TOLERANCE**2
    for distance in _DISTANCES:
        for dim in (2, 3):
            flow = _mean_along(flow, precision, tolerance, distance, dim)
    return flow


def _mean_along(
    flow: torch.Tensor, precision: torch.Tensor, tolerance: torch.Tensor, distance: int, dim: int
) -> torch.Tensor:
    """Mean over five pixels of a line, so far apart."""
    weighted = flow * precision
    total, weight = KERNEL[0] * weighted, KERNEL[0] * precision
    for k in (1, 2):
        count = flow.shape[dim] - k * distance
        if count < 1:
            break

        def first(field: torch.Tensor, count: int = count) -> torch.Tensor:
            return field.narrow(dim, 0, count)

        def second(field: torch.Tensor, count: int = count) -> torch.Tensor:
            return field.narrow(dim, field.shape[dim] - count, count)

        # Two pixels are as alike seen from the one as from the other.
        different = (second(flow) - first(flow)).square_().sum(1, keepdim=True)
        different /= first(tolerance) + second(tolerance)
        alike = different.neg_().exp_().mul_(KERNEL[k])
        for one, other in ((first, second), (second, first)):
            one(total).addcmul_(alike, other(weighted))
            one(weight).addcmul_(alike, other(precision))
    # Where nothing is valid there is no mean.
    return torch.where(weight > 0, total / weight.clamp_min(1e-30), flow)
