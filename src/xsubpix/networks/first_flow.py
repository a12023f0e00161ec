"""Flow that a pyramid begins with: the likeliest displacement of windows."""

from __future__ import annotations

import torch
import torch.nn.functional as F

__all__ = ["first_flow"]

# Windows of the correlation volume are a triangle of twice this side, blocks of 2 x 2 pixels;
# independent values in one, for the likelihood of a correlation; the largest correlation.
_WINDOW, _INDEPENDENT, _ALIKE = 3, 40.0, 0.97
# Largest value of an image, and energies that are faint.
_LARGEST, _FAINT = 3.0, 0.01
# How much a block follows its neighbours, over what square, how often, and how much what
# speaks for a displacement counts for those beside it.
_COUPLING, _AROUND, _ROUNDS, _BESIDE = 40.0, 7, 4, 0.4
# Log-likelihood that displacements of two pixels are less likely by than of one; and that one
# is by than none, so that where images say nothing, none is found.
_STILL, _SMALLEST = 1.0, 0.02
# Probabilities that are taken for none.
_NEVER = 1e-20


def first_flow(pre: torch.Tensor, post: torch.Tensor, reach: int) -> torch.Tensor:
    """Flow of the largest likelihood of blocks of 2 x 2 pixels, of all within `reach`.

    The correlation r of windows of about 10 px at a displacement has the log-likelihood
    ``-n / 2 ln(1 - r^2)``. Neighbours that agree are preferred by some rounds of the
    mean-field approximation of a Potts model: what is smoothed are probabilities, so
    that flows stay apart at a rupture.

    Parameters
    ----------
    pre, post : torch.Tensor
        Shape ``(n, 1, h, w)``, even: normalised images, 0 where missing.
    reach : int
        Largest displacement along an axis, pixels.

    Returns
    -------
    torch.Tensor
        Shape ``(n, 2, h / 2, w / 2)``, pixels of the images.

    References
    ----------
    Kraehenbuehl & Koltun (2011), *Efficient inference in fully connected CRFs with
    Gaussian edge potentials*, doi:10.48550/arXiv.1210.5644.
    """
    height, width = pre.shape[-2:]
    one, two = pre.clamp(-_LARGEST, _LARGEST), post.clamp(-_LARGEST, _LARGEST)
    padded = F.pad(two, (reach,) * 4)
    lags = [divmod(lag, 2 * reach + 1) for lag in range((2 * reach + 1) ** 2)]
    products = torch.cat(
        [_blocks(one * padded[..., i:, j:][..., :height, :width]) for i, j in lags], 1
    )
    # Blocks of the second image begin on even or on odd rows and columns.
    energies = [[_blocks(padded[..., i:, j:].square()) for j in (0, 1)] for i in (0, 1)]
    energy = torch.cat(
        [
            energies[i % 2][j % 2][..., i // 2 :, j // 2 :][..., : height // 2, : width // 2]
            for i, j in lags
        ],
        1,
    )
    scale = _triangle(energy).mul_(_triangle(_blocks(one.square()))).add_(_FAINT).sqrt_()
    correlation = _triangle(products).div_(scale)
    likely = (1 - correlation.clamp_(0, _ALIKE).square_()).log_().mul_(-_INDEPENDENT / 2)
    side = torch.arange(-reach, reach + 1, dtype=one.dtype, device=one.device)
    length = (side[:, None].square() + side.square()).sqrt().reshape(1, -1, 1, 1)
    likely -= _STILL * (length - 1).clamp(0, 2) + _SMALLEST * length
    belief = likely
    for _ in range(_ROUNDS):
        # Numbers below the smallest normal one make a product ten times slower.
        probability = F.threshold(torch.softmax(belief, 1), _NEVER, 0.0, inplace=True)
        around = _mean(probability, _AROUND)
        belief = torch.add(likely, _beside(around, 2 * reach + 1), alpha=_COUPLING)
    return _peak(belief, reach)


def _beside(around: torch.Tensor, k: int) -> torch.Tensor:
    """Largest of each displacement's and its neighbours': flows may change slowly."""
    n, _, height, width = around.shape
    table = around.permute(0, 2, 3, 1).reshape(-1, k, k)
    for dim in (1, 2):
        out = table.clone()
        for one, other in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
            here = (slice(None),) * dim
            torch.maximum(out[*here, one], _BESIDE * table[*here, other], out=out[*here, one])
        table = out
    return table.reshape(n, height, width, k * k).permute(0, 3, 1, 2)


def _peak(belief: torch.Tensor, reach: int) -> torch.Tensor:
    """Displacement of the largest belief, refined by the mean of its neighbours."""
    k = 2 * reach + 1
    best = belief.argmax(1, keepdim=True)
    row, col = best // k, best % k
    top = belief.gather(1, best)
    total, dx, dy = (torch.zeros_like(top) for _ in range(3))
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            inside = (row + i >= 0) & (row + i < k) & (col + j >= 0) & (col + j < k)
            at = (row + i).clamp(0, k - 1) * k + (col + j).clamp(0, k - 1)
            weight = torch.exp(belief.gather(1, at) - top) * inside
            total += weight
            dx += weight * (col + j - reach)
            dy += weight * (row + i - reach)
    return torch.cat((dx / total, dy / total), 1)


def _blocks(values: torch.Tensor) -> torch.Tensor:
    """Mean of blocks of 2 x 2 pixels; an odd last row or column is left out."""
    height, width = (n // 2 * 2 for n in values.shape[-2:])
    rows = values[..., 0:height:2, :width] + values[..., 1:height:2, :width]
    return (rows[..., 0::2] + rows[..., 1::2]).mul_(0.25)


def _triangle(values: torch.Tensor) -> torch.Tensor:
    return _mean(_mean(values, _WINDOW), _WINDOW)


def _mean(values: torch.Tensor, side: int) -> torch.Tensor:
    """Mean over a centred square of few pixels, with zeros beyond the border."""
    rows, cols = (_band(n, side, values) for n in values.shape[-2:])
    # Several times faster than sums of shifted arrays, which are as many passes over memory.
    with torch.autocast(values.device.type, enabled=False):
        return rows @ (values @ cols)


def _band(n: int, side: int, like: torch.Tensor) -> torch.Tensor:
    """Matrix whose product with a column is its mean over `side` neighbours."""
    at = torch.arange(n, device=like.device)
    return ((at[:, None] - at).abs() <= side // 2).to(like.dtype) / side
