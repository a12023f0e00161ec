"""Ours: one small U-Net shared by the levels of an image pyramid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from .box import Box
from .candidates import mismatch, neighbouring_flows
from .edge_avoiding import REACH as DENOISED_OVER
from .edge_avoiding import edge_avoiding_mean
from .first_flow import BLOCK as FIRST_BLOCK
from .first_flow import first_flow
from .motion_layers import separate_layers
from .normalise import REACH, gradient_direction, normalise, standardise
from .pyramid import BLOCK, PyramidNetwork
from .views import Channels
from .warping import double, spline_coefficients, spline_filters, warp_back, warp_spline

__all__ = ["PyramidUNet"]

# Pixels of the input around what is asked for that each level sees, by its reduction; seams
# with them are printed by ``benchmarks/bench_networks.py --only seams``. The last visit of a
# level needs less than the first, but what its flows are averaged over lies within it.
_CONTEXTS = {16: 448, 8: 448, 4: 320, 2: 192, 1: 128}
_SECOND_CONTEXT = 112
# Length over which the mean flow is taken out before the U-Net sees it, pixels of a level.
_SMOOTH = 16
# Flows of neighbours are shown to the U-Net up to about this difference, pixels of a level.
_LARGE = 4.0
# Without learning, neighbours' flows are not taken; and how fast it is learned to take them.
_SHY, _EAGER = 3.0, 8.0
# Reduction of the images whose windows a flow begins with, and their largest displacement,
# pixels of that level.
_FIRST, _REACH = 4, 16
# Reductions before which layers beside large steps are separated, and the distance within which
# the flows of both sides are looked for, pixels of the level.
_SEPARATED, _BESIDE = (2, 1), 24


class PyramidUNet(PyramidNetwork):
    """A small U-Net that corrects a flow, at 1/4, 1/2, 1 and 1 of the resolution.

    At each level `post` is brought back by the flow so far (by cubic B-splines of
    the doubled image, see :func:`~xsubpix.networks.warping.spline_coefficients`)
    and the U-Net sees `pre`, `post`, the directions of their gradients, where
    pixels are valid, and the flow; it returns what is left of the flow, and its
    spread. The same weights serve all levels: a rupture of 2 px at full
    resolution is one of half a pixel at a quarter of it. The flow is detached
    between levels.

    The first level begins with the likeliest displacement of windows of about 80 px, to 64 px
    of the images (:func:`~xsubpix.networks.first_flow.first_flow`): coarser levels would
    only mix the two sides of a large rupture.

    Beside a rupture of many pixels the flow of the level above is a mixture of
    both sides. Each pixel is therefore offered the two most different flows within
    8 px of its level, with `post` brought back by either and how much it then differs
    from `pre`, and the U-Net says how much of each to take. Before the two finest levels, each
    side of a large step is a layer with its own flow, and pixels take that of the layer whose
    image matches theirs (:func:`~xsubpix.networks.motion_layers.separate_layers`).

    In the end, each pixel takes the mean of its surroundings that move alike within their
    spread (:func:`~xsubpix.networks.edge_avoiding.edge_avoiding_mean`): what the U-Net does
    not know is more noise than ground.

    The U-Net works on blocks of 2 x 2 pixels: they become channels before its
    first convolution and pixels again after its last. No resolution is lost,
    and its widest layers run on a quarter of the pixels.

    Parameters
    ----------
    width : float
        Multiplies the channels 32, 64, 96, 128 of the U-Net's levels.
    levels : tuple of int
        Reductions of the images, powers of two, in the order in which they are
        gone through.

    References
    ----------
    The pyramid with a shared corrector is that of Ranjan & Black (2017,
    doi:10.1109/CVPR.2017.291) with the weights shared as by Hur & Roth (2019,
    doi:10.1109/CVPR.2019.00590); the U-Net is Ronneberger et al.'s (2015,
    doi:10.1007/978-3-319-24574-4_28).

    Examples
    --------
    >>> network = PyramidUNet(width=0.25).eval()
    >>> network.name, len(network.levels)
    ('unet', 4)
    """

    name: ClassVar[str] = "unet"
    description: ClassVar[str] = "U-Net shared by the levels of an image pyramid"
    context: ClassVar[int] = 512
    alignment: ClassVar[int] = 16 * BLOCK

    channels: ClassVar[int] = 19
    outputs: ClassVar[int] = 5
    averages_views: ClassVar[bool] = True
    denoised_over: ClassVar[int] = DENOISED_OVER
    seen: ClassVar[Channels] = Channels(
        # Directions of both images' gradients, the flow, and neighbours' flows.
        vectors=((2, 4), (3, 5), (6, 7), (10, 11), (12, 13)),
        # Images under neighbours' flows, these flows, and how well they match.
        ordered=((8, 9), (10, 12), (11, 13), (17, 18)),
    )
    returned: ClassVar[Channels] = Channels(vectors=((0, 1),), ordered=((3, 4),))

    def __init__(self, width: float = 1.0, levels: tuple[int, ...] = (4, 2, 1, 1)) -> None:
        super().__init__(width, levels)
        self.spline_filters: torch.Tensor
        self.register_buffer("spline_filters", spline_filters(), persistent=False)

    def first_convolution(self, images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """See :meth:`PyramidNetwork.first_convolution`; without a copy of the pixels."""
        return convolved_blocks(images, weight, self._first.bias)

    def prepare(self, images: torch.Tensor, box: Box | None = None) -> tuple[torch.Tensor, ...]:
        """Pyramid of images, each level normalised by itself; see :meth:`FlowNetwork.prepare`."""
        pyramid = []
        # Sums and shares of valid pixels: a block is the mean of its valid ones.
        image, valid = standardise(images[:, None])
        reduction = 1
        while True:
            level = image.new_zeros((len(image), 2, *image.shape[-2:]))
            if reduction in self.levels:
                seen = Box.whole(images.shape)
                if box is not None:
                    # A view's blocks begin at other sides.
                    margin = _context(reduction, False) + (REACH + BLOCK) * reduction
                    seen = box.grown(margin, images.shape, multiple=BLOCK * reduction)
                here = seen.reduced(reduction).slices
                part, share = image[here], valid[here]
                part = torch.where(share >= 0.5, part / share.clamp_min(1e-6), torch.nan)
                level[here] = torch.cat(normalise(part[:, 0]), 1)
            pyramid.append(level)
            if reduction >= max(self.levels):
                return tuple(pyramid)
            image, valid = F.avg_pool2d(image, 2), F.avg_pool2d(valid, 2)
            reduction *= 2

    def inputs(self, prepared: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """All levels; see :meth:`FlowNetwork.inputs`."""
        return prepared

    def pyramid(self, images: Any) -> tuple[torch.Tensor, ...]:
        """See :meth:`PyramidNetwork.pyramid`; of the finest level alone, or made already."""
        return self.prepare(images[:, 0]) if isinstance(images, torch.Tensor) else images

    def contexts(self) -> list[int]:
        """See :meth:`PyramidNetwork.contexts`."""
        before = (None, *self.levels)
        return [
            _context(level, level == last) for level, last in zip(self.levels, before, strict=False)
        ]

    def source(self, post: torch.Tensor) -> torch.Tensor:
        """Coefficients of the splines of the doubled image."""
        return spline_coefficients(post[:, :1], self.spline_filters)

    def source_within(self, source: torch.Tensor, box: Box) -> torch.Tensor:
        """See :meth:`PyramidNetwork.source_within`: of images that were doubled."""
        return source[Box(*(2 * n for n in box)).slices]

    def first(
        self, pre: Sequence[torch.Tensor], post: Sequence[torch.Tensor], box: Box
    ) -> torch.Tensor:
        """See :meth:`PyramidNetwork.first`: of windows of the images at a quarter."""
        level = self.levels[0]
        if _FIRST not in self.levels or level < _FIRST:
            return super().first(pre, post, box)
        here = box.reduced(_FIRST).slices
        one, two = (images[_FIRST.bit_length() - 1][here][:, :1] for images in (pre, post))
        # Odd last rows and columns have a block of their own.
        padding = (0, -one.shape[-1] % FIRST_BLOCK, 0, -one.shape[-2] % FIRST_BLOCK)
        with torch.no_grad():
            flow = first_flow(F.pad(one, padding), F.pad(two, padding), _REACH)
        flow, at = flow / FIRST_BLOCK, _FIRST * FIRST_BLOCK
        while at > level:
            flow, at = double(flow), at // 2
        height, width = box.reduced(level).shape
        return flow[..., :height, :width]

    def sharpened(
        self, pre: torch.Tensor, source: torch.Tensor, flow: torch.Tensor, level: int
    ) -> torch.Tensor:
        """See :meth:`PyramidNetwork.sharpened`: into the layers beside large steps."""
        if level not in _SEPARATED:
            return flow
        return separate_layers(pre[:, :1], source, flow, _BESIDE)

    def denoised(
        self, pre: torch.Tensor, post: torch.Tensor, flow: torch.Tensor, log_spread: torch.Tensor
    ) -> torch.Tensor:
        """See :meth:`PyramidNetwork.denoised`: the mean of what moves alike."""
        valid = pre[:, 1:] * warp_nearest(post[:, 1:], flow)
        return edge_avoiding_mean(flow, log_spread, valid)

    def observe(
        self, pre: torch.Tensor, post: torch.Tensor, source: torch.Tensor, flow: torch.Tensor
    ) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """Input of the U-Net at one level, and differences of neighbours' flows, if any."""
        moved = warp_spline(source, flow)
        moved_valid = warp_nearest(post[:, 1:], flow)
        moved = moved * moved_valid
        both = torch.cat((pre[:, :1], moved), 1)
        directions = gradient_direction(both)
        inputs = [both, directions, flow - _smoothed(flow)]
        # Along x of both images, then along y.
        before = torch.cat((pre[:, :1], directions[:, 0::2]), 1)
        wrong = mismatch(before, torch.cat((moved, directions[:, 1::2]), 1))
        neighbours = neighbouring_flows(flow)
        if neighbours is None:
            # The images under the neighbours' flows are the one under the pixel's own.
            inputs += [moved, moved, torch.zeros_like(flow), torch.zeros_like(flow)]
            difference = None
            matches = [wrong, wrong, wrong]
        else:
            difference = torch.cat(neighbours, 1) - flow.repeat(1, 2, 1, 1)
            # Where neighbours' flows are the pixel's own, so is the image, to the last digit:
            # what a pixel sees does not depend on steps elsewhere in its tile.
            images = [
                torch.where(
                    (candidate == flow).all(1, keepdim=True),
                    moved,
                    warp_back(post[:, :1], candidate),
                )
                for candidate in neighbours
            ]
            inputs += [*images, _LARGE * torch.tanh(difference / _LARGE)]
            matches = [wrong] + [
                mismatch(before, torch.cat((image, gradient_direction(image)), 1))
                for image in images
            ]
        inputs += [pre[:, 1:], moved_valid, *matches]
        return inputs, difference

    def change(self, output: torch.Tensor, beside: torch.Tensor | None) -> torch.Tensor:
        """Change of the flow: the U-Net's own, and its shares of neighbours' flows."""
        change = output[:, :2]
        if beside is not None:
            share = torch.sigmoid(_EAGER * output[:, 3:5] - _SHY)
            change = change + share[:, :1] * beside[:, :2] + share[:, 1:] * beside[:, 2:]
        return change


def _context(level: int, again: bool) -> int:
    """Context of a level, of its first visit or of one directly after another, pixels."""
    if again:
        return _SECOND_CONTEXT
    return _CONTEXTS.get(level, max(_CONTEXTS.values()))


def warp_nearest(images: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Nearest pixel at ``(x + dx, y + dy)``; 0 beyond the border."""
    height, width = images.shape[-2:]
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)[None, :, None]
    cols = torch.arange(width, dtype=flow.dtype, device=flow.device)[None, None, :]
    x = (cols + flow[:, 0]).round()
    y = (rows + flow[:, 1]).round()
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    at = y.clamp(0, height - 1).long() * width + x.clamp(0, width - 1).long()
    taken = images.flatten(2).gather(2, at.flatten(1)[:, None]).view_as(images)
    return taken * inside[:, None]


def _smoothed(flow: torch.Tensor) -> torch.Tensor:
    """Mean flow of the surroundings: of squares of 16 px, linear between their centres."""
    height, width = flow.shape[-2:]
    padded = F.pad(flow, (0, -width % _SMOOTH, 0, -height % _SMOOTH), mode="replicate")
    coarse = F.avg_pool2d(F.avg_pool2d(padded, _SMOOTH), 3, 1, 1, count_include_pad=False)
    fine = F.interpolate(coarse, scale_factor=_SMOOTH, mode="bilinear", align_corners=False)
    return fine[..., :height, :width]


def convolved_blocks(
    images: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """3 x 3 convolution of blocks of 2 x 2 pixels whose pixels are channels.

    The same as ``F.pixel_unshuffle`` before it, computed as a 6 x 6 convolution of every
    second pixel, which needs no copy. Of images ``(n, c, h, w)`` and weights
    ``(out, 4 c, 3, 3)``; the result has half of the rows and columns.
    """
    out, channels = weight.shape[0], weight.shape[1] // 4
    blocks = weight.view(out, channels, 2, 2, 3, 3).permute(0, 1, 4, 2, 5, 3)
    return F.conv2d(images, blocks.reshape(out, channels, 6, 6), bias, stride=2, padding=2)
