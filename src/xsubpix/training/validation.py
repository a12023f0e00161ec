"""A look at a network while it learns: errors on kept samples, curves and pictures."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from ..networks.base import FlowNetwork
from ..networks.box import Box
from ..networks.cards import UNMATCHED_SIGMA
from ..networks.views import mean_of_views
from .config import Source
from .ground import GroundFrames, read_scenes
from .samples import Augmentation, DatabaseFrames, Frames, Sample, draw_batch

if TYPE_CHECKING:
    from .config import TrainConfig

__all__ = ["Validation", "ValidationSamples", "draw_curves", "draw_samples", "validation_samples"]

# Left out at the border of a sample, pixels: windows of correlators do not reach there.
_BORDER = 32
# Away from the numbers that training draws.
_FIRST_NUMBER = 2**40


@dataclasses.dataclass(frozen=True)
class Validation:
    """Errors on the validation samples, pixels.

    Attributes
    ----------
    mean, median : float
        Mean and median of the end-point error.
    sharp : float
        Mean of the end-point error where the displacement changes by more than
        0.05 px between neighbours or within 4 px of such a change.
    zero : float
        Mean end-point error of measuring nothing.
    within : float
        Share of the errors below the predicted 68 % radius; NaN without spread.
    sigma : float
        Factor of the sigma that follows from the predicted spread, with which 68 % of the
        components' errors away from `sharp` changes are smaller than sigma; NaN without
        spread.
    """

    mean: float
    median: float
    sharp: float
    zero: float
    within: float
    sigma: float

    NAMES: ClassVar[tuple[str, ...]] = ("mean", "median", "sharp", "zero", "within", "sigma")

    def values(self) -> list[float]:
        """Return the errors in the order of the names."""
        return [getattr(self, name) for name in self.NAMES]

    def to_dict(self) -> dict[str, float | None]:
        """Return a table for JSON, to five digits; None for what there is not."""
        pairs = zip(self.NAMES, self.values(), strict=True)
        return {name: round(v, 5) if np.isfinite(v) else None for name, v in pairs}

    def __str__(self) -> str:
        return (
            f"validation {self.mean:.4f} px (median {self.median:.4f}, sharp {self.sharp:.4f}, "
            f"zero {self.zero:.4f}; {100 * self.within:.0f} % within 68 %)"
        )


@dataclasses.dataclass(frozen=True)
class ValidationSamples:
    """Samples that training never sees."""

    samples: Sample

    def predict(
        self, network: FlowNetwork, device: torch.device, half: bool = True
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Flow ``(n, 2, h, w)`` and log spread ``(n, h, w)`` or None, all samples."""
        flows, spreads = [], []
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
            for pre, post in zip(self.samples.pre, self.samples.post, strict=True):
                one, two = (torch.from_numpy(i[None]).to(device) for i in (pre, post))
                # As many views as estimators average unless told otherwise, so that the
                # calibration of sigma is that of what they return.
                flow, log_spread, _, _ = mean_of_views(
                    network, one, two, Box.whole(pre.shape), network.views
                )
                flows.append(flow.cpu().numpy()[0])
                if log_spread is not None:
                    spreads.append(log_spread.cpu().numpy()[0, 0])
        return np.stack(flows), np.stack(spreads) if spreads else None

    def measure(self, network: FlowNetwork, device: torch.device, half: bool = True) -> Validation:
        """Errors of a network."""
        flow, log_spread = self.predict(network, device, half)
        truth = self.samples.flow
        b = min(_BORDER, truth.shape[-1] // 4)
        inner = (slice(None), slice(b, -b), slice(b, -b))
        error = np.hypot(flow[:, 0] - truth[:, 0], flow[:, 1] - truth[:, 1])[inner]
        zero = np.hypot(truth[:, 0], truth[:, 1])[inner]
        known = np.isfinite(error)
        known &= np.isfinite(self.samples.pre)[inner] & np.isfinite(self.samples.post)[inner]
        sharp = _sharp(truth)[inner] & known
        within = factor = np.nan
        if log_spread is not None:
            # P(r < q b) of the density exp(-r / b) / (2 pi b^2) is 0.68 at q = 2.3507.
            within = float((error < 2.3507 * np.exp(log_spread[inner]))[known].mean())
            each = np.abs(flow - truth)[:, :, b:-b, b:-b]
            sigma = np.sqrt(3.0) * np.exp(log_spread[inner])
            # What is flagged as unknown is no one's measurement; and what is wrong beside a
            # rupture, by as much as it moved, says little about the ground elsewhere.
            matched = known & (sigma < UNMATCHED_SIGMA) & ~sharp
            if not matched.any():
                matched = known
            ratio = np.concatenate([(each[:, k] / sigma)[matched] for k in (0, 1)])
            factor = float(np.quantile(ratio, 0.6827))
        return Validation(
            float(error[known].mean()),
            float(np.median(error[known])),
            float(error[sharp].mean()) if sharp.any() else float("nan"),
            float(zero[known].mean()),
            within,
            factor,
        )


def validation_samples(
    config: TrainConfig, sources: Sequence[Frames] | None = None
) -> ValidationSamples:
    """Draw the samples that a run is validated on: unaged, of the validation split.

    With `sources`, of those, with other numbers than training draws.
    """
    plain = Augmentation(shift=0, gamma=0, noise=0, invert=0, blur=0, missing=0)
    kinds: list[Frames] = (
        list(sources) if sources else [_validation_frames(s, config.crop) for s in config.data]
    )
    kinds = [kind for kind in kinds if len(kind)]
    parts = []
    for kind in kinds:
        numbers = range(_FIRST_NUMBER, _FIRST_NUMBER + config.validation_frames)
        # A common side: all samples make one array.
        parts.append(draw_batch([kind], [1.0], numbers, config.seed, config.crop, plain))
    return ValidationSamples(Sample(*(np.concatenate(p) for p in zip(*parts, strict=True))))


def _validation_frames(source: Source, side: int) -> Frames:
    if source.kind == "scenes":
        return GroundFrames(read_scenes(Path(source.path) / "validation"), side)
    return DatabaseFrames(source.path, "validation")


def _sharp(flow: np.ndarray) -> np.ndarray:
    """Pixels within 4 px of where a flow changes by more than 0.05 px between neighbours."""
    from scipy import ndimage

    across = np.abs(np.diff(flow, axis=-1, append=flow[..., -1:])).max(1)
    down = np.abs(np.diff(flow, axis=-2, append=flow[..., -1:, :])).max(1)
    edge = np.nan_to_num(np.maximum(across, down)) > 0.05
    return np.asarray(ndimage.binary_dilation(edge, np.ones((1, 9, 9), bool)))


def draw_curves(path: Path, log: Path) -> None:
    """Draw the table of progress, where matplotlib is installed."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    from ..plot import plot_training

    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return
    shown = {
        "step": "step", "training": "training", "mean": "validation, mean",
        "median": "validation, median", "sharp": "validation, near faults",
        "zero": "measuring nothing",
    }  # fmt: skip
    history = {label: [float(row[name]) for row in rows] for name, label in shown.items()}
    plot_training(history, title="End-point error (px)").savefig(path, dpi=120)


def draw_samples(
    path: Path, checks: ValidationSamples, network: FlowNetwork, device: torch.device, rows: int = 4
) -> None:
    """Draw some validation samples, where matplotlib is installed."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    from matplotlib.figure import Figure

    chosen = np.linspace(0, len(checks.samples.pre) - 1, rows).round().astype(int)
    few = ValidationSamples(Sample(*(part[chosen] for part in checks.samples)))
    flow, _ = few.predict(network, device)
    figure = Figure(figsize=(13, 2.3 * rows), layout="constrained")
    axes = figure.subplots(rows, 6, squeeze=False)
    for k, (pre, post, truth) in enumerate(zip(*few.samples, strict=True)):
        limit = max(float(np.nanquantile(np.abs(truth), 0.99)), 0.05)
        for image, title, axis in (
            (pre, "pre", axes[k, 0]), (post, "post", axes[k, 1]),
        ):  # fmt: skip
            low, high = np.nanquantile(image, (0.02, 0.98)) if np.isfinite(image).any() else (0, 1)
            axis.imshow(image, cmap="gray", vmin=low, vmax=high)
            axis.set_title(title)
        for c, name in enumerate(("dx", "dy")):
            axes[k, 2 + 2 * c].imshow(truth[c], cmap="RdBu_r", vmin=-limit, vmax=limit)
            axes[k, 2 + 2 * c].set_title(f"{name}, true (±{limit:.2f} px)")
            axes[k, 3 + 2 * c].imshow(flow[k, c], cmap="RdBu_r", vmin=-limit, vmax=limit)
            axes[k, 3 + 2 * c].set_title(f"{name}, found")
        for axis in axes[k]:
            axis.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=80)
