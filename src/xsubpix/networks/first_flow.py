"""Flow that a pyramid begins with: the likeliest displacement of windows."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .normalise import gradient_direction

__all__ = ["BLOCK", "first_flow"]

#: Pixels a side of the blocks that have a flow each.
BLOCK = 4
# Windows of the correlation volume are a triangle of twice so many blocks a side; independent
# values in one, for the likelihood of a correlation; the largest correlation.
_WINDOW, _INDEPENDENT, _ALIKE = 3, 240.0, 0.97
# Mean square of directions that is faint: chance lets a cloud's few edges match ground anywhere.
_FAINT = 0.6
# How much a block follows its neighbours, over what square, how often, and how much what
# speaks for a displacement counts for those beside it.
_COUPLING, _AROUND, _ROUNDS, _BESIDE = 40.0, 7, 4, 0.4
# Log-likelihood that displacements of two steps are less likely by than of one; and that one
# is by than none, so that where images say nothing, none is found.
_STILL, _SMALLEST = 1.0, 0.02
# Probabilities that are taken for none.
_NEVER = 1e-20


def first_flow(pre: torch.Tensor, post: torch.Tensor, reach: int) -> torch.Tensor:
    """Flow of the largest likelihood of blocks of 4 x 4 pixels, of all within `reach`.

    The directions of the images' gradients are compared, which sun and season change less
    than grey values. Their correlation r over windows of about 20 px at a displacement has
    the log-likelihood ``-n / 2 ln(1 - r^2)``. Displacements of every second pixel, each with
    what speaks for those around it, are chosen from: neighbours that agree are preferred by
    some rounds of the mean-field approximation of a Potts model. What is smoothed are
    probabilities, so that flows stay apart at a rupture. The likelihood around the chosen one
    refines it.

    Parameters
    ----------
    pre, post : torch.Tensor
        Shape ``(n, 1, h, w)``, multiples of 4: normalised images, 0 where missing.
    reach : int
        Largest displacement along an axis, pixels, even.

    Returns
    -------
    torch.Tensor
        Shape ``(n, 2, h / 4, w / 4)``, pixels of the images.

    References
    ----------
    Fitch et al. (2002), *Orientation correlation*, doi:10.5244/C.16.11; Kraehenbuehl &
    Koltun (2011), *Efficient inference in fully connected CRFs with Gaussian edge
    potentials*, doi:10.48550/arXiv.1210.5644.
    """
    correlation = _correlation(gradient_direction(pre), gradient_direction(post), reach)
    every = (1 - correlation.clamp_(0, _ALIKE).square_()).log_().mul_(-_INDEPENDENT / 2)
    likely = _every_second(every, 2 * reach + 1)
    steps = reach // 2
    side = torch.arange(-steps, steps + 1, dtype=every.dtype, device=every.device)
    length = (side[:, None].square() + side.square()).sqrt().reshape(1, -1, 1, 1)
    likely -= _STILL * (length - 1).clamp(0, 2) + _SMALLEST * length
    belief = likely
    for _ in range(_ROUNDS):
        # Numbers below the smallest normal one make a product ten times slower.
        probability = F.threshold(torch.softmax(belief, 1), _NEVER, 0.0, inplace=True)
        around = _mean(probability, _AROUND)
        belief = torch.add(likely, _beside(around, 2 * steps + 1), alpha=_COUPLING)
    return _refined(every, belief.argmax(1, keepdim=True), reach)


def _correlation(one: torch.Tensor, two: torch.Tensor, reach: int) -> torch.Tensor:
    """Correlation of vectors ``(n, 2, h, w)`` in windows around blocks, at every displacement.

    Shape ``(n, (2 reach + 1)^2, h / 4, w / 4)``.
    """
    padded = F.pad(two, (reach,) * 4)
    power = padded.square().sum(1, keepdim=True)
    side = range(2 * reach + 1)
    rows, width = one.shape[-2] // BLOCK, one.shape[-1]
    # Rows of a block as channels: they are summed first, while they lie in the cache.
    lines = _lines(one, 0, rows)
    product = torch.empty_like(lines)
    sums = lines.new_empty((len(lines), len(side), rows, width))
    products, powers = [], []
    for i in side:
        moved, moved_power = _lines(padded, i, rows), _lines(power, i, rows).sum(1)
        for j in side:
            # Into the same memory each time: fresh pages take ten times as long.
            torch.mul(lines, moved[..., j : j + width], out=product)
            torch.sum(product, 1, out=sums[:, j])
        products.append(_blocks(sums))
        powers.append(_blocks(moved_power.unfold(-1, width, 1).transpose(1, 2)))
    scale = _triangle(torch.cat(powers, 1))
    scale.mul_(_triangle(_blocks(lines.square().sum(1)[:, None]))).add_(_FAINT**2).sqrt_()
    return _triangle(torch.cat(products, 1)).div_(scale)


def _lines(values: torch.Tensor, first: int, rows: int) -> torch.Tensor:
    """Rows `first` on, in blocks of four: of ``(n, c, h, w)``, ``(n, 4 c, rows, w)``."""
    of_blocks = values[..., first : first + BLOCK * rows, :]
    return of_blocks.unflatten(2, (rows, BLOCK)).transpose(2, 3).flatten(1, 2)


def _blocks(sums: torch.Tensor) -> torch.Tensor:
    """Means of blocks, of sums over their rows, ``(n, c, h / 4, w)``."""
    return sums.unflatten(-1, (-1, BLOCK)).sum(-1).div_(BLOCK**2)


def _every_second(likely: torch.Tensor, k: int) -> torch.Tensor:
    """Largest of each second displacement's and those around it; ``k * k`` displacements."""
    table = likely.unflatten(1, (k, k))
    for dim in (1, 2):
        here = (slice(None),) * dim
        few, odd = table[*here, ::2].clone(), table[*here, 1::2]
        for half in (few[*here, :-1], few[*here, 1:]):
            torch.maximum(half, odd, out=half)
        table = few
    return table.flatten(1, 2)


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


def _refined(every: torch.Tensor, best: torch.Tensor, reach: int) -> torch.Tensor:
    """Mean displacement of the chosen one of every second, and of those within two of it."""
    k = 2 * reach + 1
    row, col = (2 * at for at in (best // (reach + 1), best % (reach + 1)))
    near = range(-2, 3)
    at = [(row + i, col + j) for i in near for j in near]
    likely = torch.cat(
        [
            every.gather(1, r.clamp(0, k - 1) * k + c.clamp(0, k - 1)).masked_fill(
                (r < 0) | (r >= k) | (c < 0) | (c >= k), -torch.inf
            )
            for r, c in at
        ],
        1,
    )
    share = torch.softmax(likely, 1)
    rows, cols = (torch.cat([place[d] for place in at], 1) - reach for d in (0, 1))
    return torch.stack(((share * cols).sum(1), (share * rows).sum(1)), 1)


def _triangle(values: torch.Tensor) -> torch.Tensor:
    """Mean over a centred square, twice, with zeros beyond the border."""
    return _mean(values, _WINDOW, 2)


def _mean(values: torch.Tensor, side: int, times: int = 1) -> torch.Tensor:
    """Mean over a centred square of few pixels, with zeros beyond the border."""
    # Several times faster than sums of shifted arrays, which are as many passes over memory.
    with torch.autocast(values.device.type, enabled=False):
        rows, cols = (_band(n, side, values).matrix_power(times) for n in values.shape[-2:])
        return rows @ (values @ cols)


def _band(n: int, side: int, like: torch.Tensor) -> torch.Tensor:
    """Matrix whose product with a column is its mean over `side` neighbours."""
    at = torch.arange(n, device=like.device)
    return ((at[:, None] - at).abs() <= side // 2).to(like.dtype) / side
