"""The one input normalisation of all networks.

An image is brought to local mean 0 and local deviation 1, so that what a
network sees does not change when the image is multiplied or offset, nor when
haze or relief changes both slowly over the image::

    z = (I - mean) / sqrt(var + 0.04 wide + tiny)

`mean` and `var` are those of a square of :data:`SIDE` pixels, `wide` is the
mean of `var` over twice that side: a floor that keeps noise in flat places from
being blown up to the size of texture. Missing pixels take no part in the
statistics and become 0, the local mean.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..kernels.local_correlation_torch import box_mean_torch

__all__ = ["REACH", "SIDE", "gradient_direction", "normalise", "standardise"]

#: Side of the square of the local statistics, pixels.
SIDE = 25
_WIDE = 49
#: Context of one normalised pixel on each side, pixels.
REACH = SIDE // 2 + _WIDE // 2

_FLOOR = 0.04
_LARGEST = 6.0
_TINY = torch.finfo(torch.float32).tiny
# Gradients of normalised images below this are noise, and are not blown up.
_FAINT = 0.3


def normalise(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Bring images to local mean 0 and local deviation 1.

    Parameters
    ----------
    images : torch.Tensor of float32
        Shape ``(n, h, w)``, any radiometric unit; what is not finite is
        missing.

    Returns
    -------
    normalised : torch.Tensor of float32
        Shape ``(n, 1, h, w)``, within +-6; 0 where missing.
    valid : torch.Tensor of float32
        Shape ``(n, 1, h, w)``: 1 where there is a value, 0 where missing.

    Notes
    -----
    The mean of each image is subtracted, and its deviation divided out, before
    anything else, so that counts of 1e-6 and of 1e6 give the same and an offset of any
    size costs no digits. Both are sums in double precision, as running sums are.

    Examples
    --------
    >>> import torch
    >>> images = 100.0 + torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> normalised, valid = normalise(images)
    >>> normalised.shape, bool(normalised.mean().abs() < 0.05)
    (torch.Size([1, 1, 64, 64]), True)
    """
    z, valid = standardise(images[:, None])
    whole = _is_whole(valid > 0)
    share = _share(valid, SIDE, whole)
    safe = share.clamp_min(1e-6)
    mean = box_mean_torch(z, SIDE).div_(safe)
    var = (
        box_mean_torch(z.square(), SIDE).div_(safe).addcmul_(mean, mean, value=-1.0).clamp_min_(0.0)
    )
    if not whole:
        var = torch.where(share > 1e-6, var, 0.0)
    wide = box_mean_torch(var if whole else var * valid, _WIDE)
    wide = wide.div_(_share(valid, _WIDE, whole).clamp_min(1e-6))
    scale = var.add_(wide, alpha=_FLOOR).sqrt_()
    scale = torch.where(scale > 1e-6, scale, 1.0)
    out = (z - mean).div_(scale)
    return (out if whole else out.mul_(valid)).clamp_(-_LARGEST, _LARGEST), valid


def standardise(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Subtract the mean of each image and divide by its deviation.

    An offset, however large, then costs no digits where pixels are averaged.

    Parameters
    ----------
    images : torch.Tensor of float32
        Shape ``(n, c, h, w)``, any radiometric unit; what is not finite is missing.

    Returns
    -------
    standard, valid : torch.Tensor of float32
        Same shape: values, 0 where missing; and 1 where there is a value. Sums are
        taken in double precision.
    """
    known = torch.isfinite(images)
    whole = _is_whole(known)
    count = known.sum((2, 3), keepdim=True).clamp_min(1)
    if not whole:
        images = torch.where(known, images, 0.0)
    # Differences of nearly equal numbers are exact: single precision is enough for them.
    mean = images.sum((2, 3), keepdim=True, dtype=torch.float64) / count
    centred = images - mean.float()
    if not whole:
        centred = torch.where(known, centred, 0.0)
    power = torch.linalg.vector_norm(centred, dim=(2, 3), keepdim=True, dtype=torch.float64)
    power = power / count.sqrt()
    deviation = torch.where(power > 0, power, 1.0).float().clamp_min(_TINY)
    return centred / deviation, known.float()


def _is_whole(known: torch.Tensor) -> bool:
    """True where nothing is missing; not asked on a GPU, where the answer is waited for."""
    return known.device.type == "cpu" and bool(known.all())


def gradient_direction(images: torch.Tensor) -> torch.Tensor:
    """Gradients of normalised images, brought to length 1 where they are not faint.

    Parameters
    ----------
    images : torch.Tensor
        Shape ``(n, c, h, w)``, normalised.

    Returns
    -------
    torch.Tensor
        Shape ``(n, 2 c, h, w)``: along x, then along y. Central differences,
        divided by ``sqrt(g^2 + 0.3^2)``.
    """
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    gx = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]).mul_(0.5)
    gy = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]).mul_(0.5)
    length = gx.square().addcmul_(gy, gy).add_(_FAINT**2).sqrt_()
    return torch.cat((gx.div_(length), gy.div_(length)), 1)


def _share(valid: torch.Tensor, side: int, whole: bool) -> torch.Tensor:
    """Share of valid pixels in a centred square; none beyond the border."""
    if not whole:
        return box_mean_torch(valid, side)
    # Nothing is missing: the share of a square is that of its rows times that of its columns.
    rows, cols = valid[:1, :, :, :1], valid[:1, :, :1]
    return _line(rows, side, 2) * _line(cols, side, 3)


def _line(ones: torch.Tensor, side: int, dim: int) -> torch.Tensor:
    n = ones.shape[dim]
    index = torch.arange(n, device=ones.device)
    first, last = (index - side // 2).clamp_min(0), (index + side // 2).clamp_max(n - 1)
    return ((last - first + 1).float() / side).view(ones.shape)
