"""Two layers beside a large step: the flow of each side, and which pixels move with which."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..kernels.local_correlation_torch import box_mean_torch
from .candidates import EVERY, enlarged, extreme_flows, thinned
from .normalise import gradient_direction
from .warping import warp_spline

__all__ = ["separate_layers"]

# By how much the flows of two sides differ at least, pixels of a level, and over how much more
# layers are taken little by little.
_STEP, _SOFT = 3.0, 1.0
# Displacements along an axis that a layer is tried at each time; how much a difference of
# images counts there, and the length of a displacement.
_TRIED, _CLEAR, _LONG = 2, 40.0, 0.15
# Side of the square of neighbours that a pixel sides with, pixels; how much they count; and
# how often they are asked while the flows change, and in the end.
_AROUND, _TOGETHER, _ASKED, _LAST_ASKED = 9, 8.0, 3, 20
# What the images say in a square counts so much at first; how outright the choice is in the end.
_BEGIN, _OUTRIGHT = 4.0, 30.0
# The layers are taken where they match better than the flow itself: by how much, over what
# square, pixels, and how sharply.
_BETTER, _OWN, _SHARP = 0.05, 13, 60.0
# Pixels around the steps that have a say.
_MARGIN = 48


def separate_layers(
    pre: torch.Tensor, source: torch.Tensor, flow: torch.Tensor, radius: int, times: int = 4
) -> torch.Tensor:
    """Flow where pixels beside a large step move with the side whose image matches theirs.

    Coarse levels leave a ramp between the two sides of a rupture, as wide as their pixels, and
    windows that see both sides pull their flows together. Here each side is a layer with a flow
    of its own that goes on beyond the rupture: at first the mean of those flows within `radius`
    that are most alike to the largest, and to the smallest, of the component that varies most.
    Then, a few times: each pixel moves with the layer under which its gradient's direction
    matches better, neighbours preferred that choose alike (rounds of the mean-field
    approximation of a Potts model), and each layer's flow is moved by what its own pixels match
    best at. A pixel keeps the flow that it had unless its layer matches clearly better, as on
    ground that shears over many pixels.

    Parameters
    ----------
    pre : torch.Tensor
        Shape ``(n, 1, h, w)``: normalised first images, 0 where missing.
    source : torch.Tensor
        Coefficients of the second images, of
        :func:`~xsubpix.networks.warping.spline_coefficients`.
    flow : torch.Tensor
        Shape ``(n, 2, h, w)``, pixels.
    radius : int
        Distance within which a side's flow is looked for, pixels, a multiple of 4.
    times : int
        How often the layers' flows and their pixels follow from each other; more where the
        flow may be wrong by more.

    Returns
    -------
    torch.Tensor
        Shape ``(n, 2, h, w)``; the same tensor where no flows differ by 3 px.

    References
    ----------
    Wang & Adelson (1994), *Representing moving images with layers*, doi:10.1109/83.334981;
    Weiss (1997), *Smoothness in layers*, doi:10.1109/CVPR.1997.609375.
    """
    height, width = flow.shape[-2:]
    few = thinned(flow)
    if min(few.shape[-2:]) < 1:
        return flow
    reach = radius // EVERY
    span, most, least = extreme_flows(few, reach)
    near = ((span - _STEP) / _SOFT).clamp_(0, 1)
    # Most ground has no such step. On a GPU the question stops its queue, but the answer for all
    # of a tile would cost more.
    if not bool((near > 0).any()):
        return flow
    rows, cols = (_around(near, dim) for dim in (2, 3))
    few, most, least, near = (part[..., rows, cols] for part in (few, most, least, near))
    rows, cols = (
        slice(EVERY * part.start, min(EVERY * part.stop, n))
        for part, n in ((rows, height), (cols, width))
    )
    here = flow[..., rows, cols]
    h, w = here.shape[-2:]
    layers = [enlarged(part, h, w) for part in _means(few, most, least, reach)]
    near = enlarged(near, h, w)
    # Places are those of the whole image.
    origin = flow.new_tensor([cols.start, rows.start])[:, None, None]
    direction = gradient_direction(pre[..., rows, cols])

    def moved(candidate: torch.Tensor) -> torch.Tensor:
        return gradient_direction(warp_spline(source, candidate + origin))

    def wrong(image: torch.Tensor) -> torch.Tensor:
        return (direction - image).square_().mean(1, keepdim=True)

    for _ in range(times):
        images = [moved(layer) for layer in layers]
        # From what the images say alone each time: what was chosen with wrong flows stays chosen.
        belief = _sides(wrong(images[0]), wrong(images[1]), _ASKED)
        for k, own in enumerate((belief, 1 - belief)):
            layers[k] = layers[k] + near * _shift(direction, images[k], own, reach | 1)
    errors = [wrong(moved(layer)) for layer in layers]
    belief = _sides(errors[0], errors[1], _LAST_ASKED)
    belief = torch.sigmoid(_OUTRIGHT * (belief - 0.5))
    chosen = torch.lerp(layers[1], layers[0], belief)
    better = wrong(moved(here)) - torch.lerp(errors[1], errors[0], belief)
    # A little of each rather than a choice outright: what neighbouring tiles differ by stays
    # small.
    taken = torch.sigmoid(_SHARP * (box_mean_torch(better, _OWN) - _BETTER)) * near
    out = flow.clone()
    out[..., rows, cols] = torch.lerp(here, chosen, taken)
    return out


def _means(
    few: torch.Tensor, most: torch.Tensor, least: torch.Tensor, reach: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Means of the flows around each place that are like the one and like the other."""
    # Rows of the neighbours: all at once are as much memory as a tile's images.
    padded = F.pad(few, (reach,) * 4, mode="replicate").unfold(2, few.shape[2], 1)
    padded = padded.permute(2, 0, 1, 4, 3)
    one, two = most, least
    for _ in range(2):
        between = (one - two).square().sum(1, keepdim=True)[..., None].clamp_min(1e-3)
        totals = [torch.zeros_like(few) for _ in range(2)]
        weights = [few.new_zeros((len(few), 1, *few.shape[2:])) for _ in range(2)]
        for line in padded:
            around = line.unfold(3, 2 * reach + 1, 1)
            far = [(around - mean[..., None]).square_().sum(1, keepdim=True) for mean in (one, two)]
            # From 1, at the one, to -1, at the other; what lies between has no say.
            nearer = (far[1] - far[0]) / between
            for k, sign in enumerate((1, -1)):
                weight = (4 * sign * nearer - 2).clamp_(0, 1).add_((-far[k]).exp_(), alpha=1e-4)
                totals[k] += (around * weight).sum(-1)
                weights[k] += weight.sum(-1)
        one, two = (t / w.clamp_min(1e-12) for t, w in zip(totals, weights, strict=True))
    return one, two


def _sides(one: torch.Tensor, two: torch.Tensor, rounds: int) -> torch.Tensor:
    """Probability that pixels move with the first layer, from what is wrong under each."""
    likely = two - one
    belief = torch.sigmoid(_BEGIN * box_mean_torch(likely, _AROUND))
    for _ in range(rounds):
        around = box_mean_torch(belief, _AROUND)
        belief = torch.sigmoid(likely + _TOGETHER * (2 * around - 1))
    return belief


def _shift(one: torch.Tensor, two: torch.Tensor, own: torch.Tensor, blocks: int) -> torch.Tensor:
    """Displacement of `two` at which it matches `one` best where it counts, pixels.

    Over squares of so many blocks of 4 x 4 pixels a side, an odd number.
    """
    h, w = one.shape[-2:]
    side = range(2 * _TRIED + 1)
    padded = F.pad(two, (_TRIED,) * 4)
    weighted = one * own
    found = torch.cat(
        [
            _blocks((weighted * padded[..., i : i + h, j : j + w]).sum(1, keepdim=True))
            for i in side
            for j in side
        ],
        1,
    )
    places = torch.arange(-_TRIED, _TRIED + 1, dtype=one.dtype, device=one.device)
    dx, dy = places.repeat(len(side)), places.repeat_interleave(len(side))
    length = torch.hypot(dx, dy)[:, None, None]
    likely = (
        _CLEAR * _square(found, blocks) / (_square(_blocks(own), blocks) + 0.05) - _LONG * length
    )
    # The mean of the best and of those beside it: less than a pixel.
    best = likely.argmax(1, keepdim=True)
    far = [(place[:, None, None] - place[best]).abs() > 1 for place in (dx, dy)]
    share = torch.softmax(likely.masked_fill(far[0] | far[1], -torch.inf), 1)
    shift = torch.stack([(share * place[:, None, None]).sum(1) for place in (dx, dy)], 1)
    fine = F.interpolate(shift, scale_factor=EVERY, mode="bilinear", align_corners=False)
    return fine[..., :h, :w]


def _blocks(values: torch.Tensor) -> torch.Tensor:
    """Means of blocks of 4 x 4 pixels."""
    return F.avg_pool2d(values, EVERY, ceil_mode=True)


def _square(values: torch.Tensor, side: int) -> torch.Tensor:
    """Mean over a square, twice."""
    for _ in range(2):
        values = F.avg_pool2d(values, side, 1, side // 2)
    return values


def _around(near: torch.Tensor, dim: int) -> slice:
    """Rows or columns of every fourth pixel that hold all steps, and what lies around them."""
    other = tuple(d for d in range(4) if d != dim)
    at = torch.nonzero(near.amax(other))[:, 0]
    margin = _MARGIN // EVERY
    return slice(max(0, int(at[0]) - margin), min(near.shape[dim], int(at[-1]) + 1 + margin))
