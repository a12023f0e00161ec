"""Networks behind the estimator contract: overlapping tiles over any scene."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..checks import whole_number
from ..errors import ModelError
from ..networks.box import Box
from ..networks.cards import UNMATCHED_SIGMA, Card, read_card, shipped_models, weights_digest
from .base import Estimate, Estimator, Flag
from .dense import core_of_block, sample_blocks

if TYPE_CHECKING:
    import torch

    from ..networks.base import FlowNetwork

__all__ = ["Network"]

# Side of the square of `quality` and of the rule for missing data, pixels.
_SQUARE = 9
# Standard deviation of each component, if the end-point error r has the density
# exp(-r / b) / (2 pi b^2).
_SIGMA_PER_SPREAD = math.sqrt(3.0)
# Beyond this, pixels, a search that is asked for begins with windows of correlation.
_OWN_SEARCH = 12
# Within this of the border errors grow, pixels.
_RIM = 16
# Squares with less variance, of images whose local deviation is 1, have no texture.
_FAINTEST = 1e-6
# What a fault and errors extend over, pixels; see the properties.
_BLUR, _ERROR_LENGTH = 16.0, 45.0
# Where data end in a line with this share of valid pixels or more, they end straight.
_STRAIGHT = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network(Estimator):
    """A trained network, applied in overlapping tiles.

    Both images are brought to local mean 0 and deviation 1
    (:func:`xsubpix.networks.normalise`), so that gain, offset and slow changes
    of brightness have no effect. Tiles overlap by a margin that is cut off,
    and lie on the grid of the network's own reductions, so that results meet
    without seams.

    `sigma` is the spread that the network itself predicts, calibrated on
    validation samples. Architectures that predict none get it from the images
    (:func:`~xsubpix.estimators.image_sigma.sigma_from_images`). `quality` is
    the correlation, in a square of 9 px, of `pre` with `post` resampled along
    the result, not below 0. Results are NaN, flagged ``nodata``, where fewer
    than half of the pixels of that square are valid in both images, and flagged
    ``out_of_range`` where the displacement is beyond what the network was
    trained on or `sigma` is above 0.35 pixels: there, nothing was found to match.

    Parameters
    ----------
    step : int, optional
        Distance of neighbouring outputs, input pixels, 1 by default: an odd step takes the
        block's middle pixel, an even one the mean of its four middle pixels.
    device : str
        ``"auto"`` (CUDA where there is one, else CPU) or a torch device.
    weights : str
        A model that comes with the package, or a file of weights,
        ``.safetensors``.
    tile_size : int
        Side of the tiles, input pixels, 64 to 4096: what is measured
        at once, without the margin around it.
    ensemble : int, optional
        Views of the images that are averaged, 1, 2 or 4: as they are, turned by half a
        turn, transposed, mirrored. A network's errors differ between views, so that
        their mean is better than each. 2 by default. ``unet`` averages them at each step and
        brings images back once for all of them; other networks cost as much for each view.
        Four take nearly half as much time again as two, and are 1 to 2 % better on two dates.
    digest : str
        SHA-256 of the weights; found when it is not given, and compared when it is.

    Raises
    ------
    ModelError
        There are no such weights, or their digest is another.

    Notes
    -----
    Weights are loaded once a process; an estimator holds their name and digest
    alone. Convolutions run in bfloat16 where the processor or the GPU has
    instructions for it, otherwise in single precision; results differ by some
    0.003 px. A GPU gets as many tiles of a block at once as its free memory holds, and half
    as many if that was too much. A block holds one tile of the default size, or several
    where ``tile_size`` is 256 or less; ``tile_size=2048`` wastes less on margins.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> from xsubpix.estimators.network import Network
    >>> ground = np.random.default_rng(0).normal(size=(64, 64)).cumsum(0).cumsum(1)
    >>> pre, post = (xr.DataArray(g, dims=("y", "x")) for g in (ground[:, 1:], ground[:, :-1]))
    >>> disp = xsubpix.correlate(pre, post, model=Network(weights="unet", ensemble=1))
    >>> abs(float(disp.east.median()) - 1.0) < 0.2  # moved one pixel right
    True
    """

    weights: str
    tile_size: int = 768
    ensemble: int | None = None
    digest: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = str(self.weights)
        if weights not in shipped_models() and Path(weights).is_file():
            # Workers of a cluster have working directories of their own.
            weights = str(Path(weights).absolute())
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "tile_size", whole_number("tile_size", self.tile_size, 64, 4096))
        if self.ensemble not in (None, 1, 2, 4) or isinstance(self.ensemble, bool):
            raise ModelError(f"ensemble={self.ensemble!r}: give 1, 2 or 4.")
        found = weights_digest(weights_path(self.weights))
        if self.digest not in ("", found):
            raise ModelError(
                f"{self.weights} has the digest {found[:12]}, and {self.digest[:12]} was asked "
                "for: the file is another one. Give no digest to take it as it is."
            )
        object.__setattr__(self, "digest", found)
        if self.ensemble is None:
            from ..networks.registry import network_class

            views = network_class(self.card["architecture"]).views
            object.__setattr__(self, "ensemble", views)

    @property
    def card(self) -> Card:
        """Card of the weights: what they say of themselves."""
        return _card(self.weights, self.digest)

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name of the model that comes with the package, or of the architecture."""
        return self.weights if self.weights in shipped_models() else self.card["architecture"]

    @property
    def description(self) -> str:  # type: ignore[override]
        """The architecture in a line."""
        from ..networks.registry import network_class

        return f"{network_class(self.card['architecture']).description}, in overlapping tiles"

    @property
    def halo(self) -> int:
        """Context that one output needs on each side of its block, pixels."""
        from ..networks.registry import network_class

        return network_class(self.card["architecture"]).context

    @property
    def support(self) -> int:
        """Distance from the border within which errors grow, pixels: 16.

        The network sees less there. Measured for ``unet`` on Landsat-7 chips with ruptures:
        the median error beside the border is 2.5 times that within (1.8 times with simulated
        second dates), and `sigma` grows as much: 77 to 82 % of the errors are within one
        sigma at any distance.
        """
        return _RIM

    @property
    def states_sigma(self) -> bool:  # type: ignore[override]
        """Origin of `sigma`: the network's own spread, where the weights have a calibrated one."""
        return "sigma" in self.card.get("calibration", {})

    @property
    def likeness_reach(self) -> float | None:
        """None: the network's own spread is large where images do not match.

        The blur for weights without a calibrated spread.
        """
        return None if self.states_sigma else self.blur

    @property
    def blur(self) -> float:
        """Distance from a fault within which the step is drawn too wide, pixels: 16.

        Measured for ``unet`` on simulated ruptures: the step that it draws, and what it
        overshoots, end within as many pixels as half a window of 32 px.
        """
        return _BLUR

    @property
    def error_length(self) -> float:
        """Side of the square over which errors are about the same, pixels: 45.

        Measured for ``unet`` on changed ground, where its result is smooth: the
        autocorrelation of its errors falls to a half over some 17 px, and has an area of
        about 2000 px.
        """
        return _ERROR_LENGTH

    @property
    def mean_over(self) -> int:
        """See :attr:`Estimator.mean_over`: as the architecture says, 62 for ``unet``."""
        from ..networks.registry import network_class

        return int(getattr(network_class(self.card["architecture"]), "denoised_over", 0))

    @property
    def reach(self) -> int:
        """Largest displacement along an axis that the weights were trained on, pixels."""
        return int(self.card.get("reach", 4))

    @property
    def own_search(self) -> int:
        """Largest `search` that needs no first guess, pixels."""
        return min(self.reach, _OWN_SEARCH)

    @property
    def tile(self) -> int:
        """Outputs a tile side: about :attr:`tile_size` pixels."""
        inner = max(self.tile_size, self.step)
        # Windows that begin on a multiple of the network's largest reduction see the
        # ground cut in the same way.
        hop = math.lcm(self.step, self._alignment)
        if hop <= inner:
            return inner // hop * (hop // self.step)
        return max(1, inner // self.step)

    @property
    def _alignment(self) -> int:
        from ..networks.registry import network_class

        return network_class(self.card["architecture"]).alignment

    def parameters(self) -> dict[str, object]:
        """The parameters in force; weights by name and digest."""
        return {**super().parameters(), "weights": Path(self.weights).name}

    def __call__(self, pre: np.ndarray, post: np.ndarray) -> Estimate:
        """Measure two batches of tiles; see :meth:`Estimator.__call__`."""
        import torch

        from ..devices import one_thread, own_stream, torch_device

        device = torch_device(self.device)
        network = _loaded(self.weights, self.digest, str(device))
        cut, step = core_of_block(self.step, self.tile)
        inside = slice(cut, pre.shape[1] - cut)
        pre, post = (tiles[:, inside, inside] for tiles in (pre, post))
        with one_thread(), torch.inference_mode(), own_stream(device):
            fields = self._fields(network, device, pre, post)
        return sample_blocks(fields, self.halo, step, self.outputs)

    def _fields(
        self, network: FlowNetwork, device: torch.device, pre: np.ndarray, post: np.ndarray
    ) -> list[Estimate]:
        """Result at the pixels of each tile within its margin; nothing in the margin."""
        fields = [Estimate.missing(tile.shape, self.outputs) for tile in pre]
        tiles_of_part: dict[_Part, list[int]] = {}
        for k, (one, two) in enumerate(zip(pre, post, strict=True)):
            valid = np.isfinite(one) & np.isfinite(two)
            part = _part_with_data(valid, network.alignment, self.halo)
            if part is not None:
                tiles_of_part.setdefault(part, []).append(k)
        for part, which in tiles_of_part.items():
            one, two = (x[which][part.box.slices] for x in (pre, post))
            asked = part.asked.within(part.box)
            assert self.ensemble is not None  # set in __post_init__
            measured = _measure_all(network, device, one, two, asked, self.ensemble, self.digest)
            for k, values in zip(which, measured, strict=True):
                fields[k].put((part.asked.rows, part.asked.cols), self._described(*values))
        return fields

    def _described(
        self,
        dx: np.ndarray,
        dy: np.ndarray,
        spread: np.ndarray,
        quality: np.ndarray,
        share: np.ndarray,
        textured: np.ndarray,
    ) -> Estimate:
        """Estimate from what was measured, with its flags and sigma."""
        factor = float(self.card.get("calibration", {}).get("sigma", 1.0)) * _SIGMA_PER_SPREAD
        flags = np.zeros(dx.shape, np.uint8)
        reach = self.reach
        flags[(np.abs(dx) > reach) | (np.abs(dy) > reach)] |= Flag.OUT_OF_RANGE
        has_texture = textured > 0
        flags[~has_texture] |= Flag.LOW_TEXTURE
        dx, dy, sigma = (
            np.where(has_texture, v, np.float32(np.nan)) for v in (dx, dy, factor * spread)
        )
        flags[sigma > UNMATCHED_SIGMA] |= Flag.OUT_OF_RANGE
        flags[share < 0.5] = Flag.NODATA
        return Estimate(dx, dy, sigma, quality, flags)


def weights_path(weights: str) -> Path:
    """File of a shipped model, or the path that was given.

    Raises
    ------
    ModelError
        There is no such file.
    """
    shipped = shipped_models()
    if weights in shipped:
        return shipped[weights]
    path = Path(weights)
    if not path.is_file():
        raise ModelError(
            f"weights={weights!r}: no such file, nor a model that comes with the package "
            f"({', '.join(shipped) or 'none'})."
        )
    return path


@functools.lru_cache(maxsize=32)
def _card(weights: str, digest: str) -> Card:
    return read_card(weights_path(weights))


@functools.lru_cache(maxsize=4)
def _loaded(weights: str, digest: str, device: str) -> FlowNetwork:
    """The network on its device; once a process."""
    import torch

    from ..networks.weights import load_network

    path = weights_path(weights)
    found = weights_digest(path)
    if found != digest:
        raise ModelError(
            f"{path} has the digest {found[:12]}, but the computation was begun with "
            f"{digest[:12]}: the file was changed, or differs on this machine."
        )
    network = load_network(path).to(torch.device(device))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@functools.lru_cache(maxsize=1)
def _fast_bfloat16() -> bool:
    """Tell a processor with instructions for bfloat16; without, it is slower."""
    import torch

    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)


class _Part(NamedTuple):
    """Part of a tile that has data, and the box in it that is asked for; tile pixels."""

    box: Box
    asked: Box


def _part_with_data(valid: np.ndarray, alignment: int, margin: int) -> _Part | None:
    """The smallest part with all valid pixels, on the grid of the network's reductions.

    A network takes the end of what it is given for another thing than missing
    pixels. Where data end along a line, as at an image's border, that end is the
    same for all tiles; where they end askew, the part goes on by `margin`, so that
    neighbouring tiles see the same missing pixels and meet without a seam.
    """
    box: list[int] = []
    asked: list[int] = []
    lines = [np.flatnonzero(valid.any(axis=1 - k)) for k in (0, 1)]
    if not lines[0].size:
        return None
    whole = valid[tuple(slice(with_data[0], with_data[-1] + 1) for with_data in lines)]
    for k, (n, with_data) in enumerate(zip(valid.shape, lines, strict=True)):
        start, stop = int(with_data[0]), int(with_data[-1]) + 1
        ends = np.moveaxis(whole, k, 0)
        if ends[0].mean() < _STRAIGHT:
            start = max(0, start - margin)
        if ends[-1].mean() < _STRAIGHT:
            stop = min(n, stop + margin)
        start = start // alignment * alignment
        stop = min(n, -(-stop // alignment) * alignment)
        first, last = max(start, margin), min(stop, n - margin)
        if first >= last:
            return None
        box += [start, stop]
        asked += [first, last]
    return _Part(Box(*box), Box(*asked))


def _measure_all(
    network: FlowNetwork,
    device: torch.device,
    pre: np.ndarray,
    post: np.ndarray,
    asked: Box,
    ensemble: int,
    digest: str,
) -> np.ndarray:
    """:func:`_measure` of tiles (n, h, w), as many at once, or as little, as memory allows."""
    import torch

    from ..devices import in_batches, items_that_fit, memory_learned

    pixels, work = pre[0].size, (digest, str(device))

    def run(one: np.ndarray, two: np.ndarray) -> np.ndarray:
        with memory_learned(device, work, one.size):
            return _measure(network, device, one, two, asked, ensemble)

    with contextlib.suppress(torch.OutOfMemoryError):
        return np.concatenate(in_batches(run, (pre, post), items_that_fit(device, work, pixels)))
    # Not even one tile: in two parts, each with its own context.
    torch.cuda.empty_cache()
    halves = asked.halves(network.multiple)
    if halves is None:
        raise ModelError(
            f"{device} has no memory left for {pre.shape[1]} x {pre.shape[2]} pixels at once. Free "
            "some, take fewer threads or a smaller tile_size=, or device='cpu'."
        )
    measured = []
    for half in halves:
        part = half.grown(network.context, pre.shape, network.multiple)
        one, two = (x[part.slices] for x in (pre, post))
        within = half.within(part)
        measured.append(_measure_all(network, device, one, two, within, ensemble, digest))
    return np.concatenate(measured, axis=2 if halves[0].left == halves[1].left else 3)


def _measure(
    network: FlowNetwork,
    device: torch.device,
    pre: np.ndarray,
    post: np.ndarray,
    asked: Box,
    ensemble: int,
) -> np.ndarray:
    """dx, dy, spread, quality, share of valid pixels and texture at the pixels asked for.

    Of tiles (n, h, w), shape (n, 6, rows, columns).
    """
    import torch
    import torch.nn.functional as F

    from ..devices import has_bfloat16, to_device, to_host
    from ..kernels.local_correlation_torch import box_mean_torch, local_correlation_torch
    from ..networks.views import mean_of_views
    from ..networks.warping import warp_back

    height, width = pre.shape[1:]
    padding = (0, -width % network.multiple, 0, -height % network.multiple)
    one, two = (F.pad(to_device(i, device), padding, value=torch.nan) for i in (pre, post))
    half = has_bfloat16(device) or (device.type == "cpu" and _fast_bfloat16())
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        flow, log_spread, one, two = mean_of_views(network, one, two, asked, ensemble)
    spread = torch.full_like(flow[:, :1], torch.nan) if log_spread is None else log_spread.exp()
    # The square of `quality` reaches a few pixels beyond.
    square = asked.grown(_SQUARE // 2, one.shape)
    here = asked.within(square)
    both = (one[:, 1:] * two[:, 1:])[square.slices]
    beyond = (here.left, square.right - asked.right, here.top, square.bottom - asked.bottom)
    around = F.pad(flow, beyond, mode="replicate")
    back = warp_back(two[:, :1][square.slices], around)
    quality, textured = local_correlation_torch(
        one[:, :1][square.slices], back, both, _SQUARE, _FAINTEST
    )
    local = torch.cat((quality, box_mean_torch(both, _SQUARE), textured), 1)[here.slices]
    return to_host(torch.cat((flow, spread, local), 1))
