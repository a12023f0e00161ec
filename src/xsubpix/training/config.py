"""Configuration of a training run, from a TOML file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, Self

import numpy as np

from ..checks import real_number, whole_number
from ..errors import DataError, FileError, ModelError
from ..networks.registry import available_networks, check_config
from .samples import Augmentation

__all__ = ["Source", "TrainConfig"]

# Bounds of settings: beyond them nothing is trained, or nothing fits a machine.
_WHOLE = {
    "steps": (1, 10**9), "batch": (1, 65_536), "crop": (1, 8192), "validate_every": (1, 10**9),
    "validation_frames": (1, 10**6), "reuse": (1, 10**6), "wide_crop": (0, 8192),
    "warmup": (0, 10**9), "seed": (0, 2**63 - 1),
}  # fmt: skip
_ABOVE_ZERO = {"learning_rate": 10.0, "clip": 1e6, "decay": 10.0, "power": 10.0, "reach": 4096.0}
_FROM_ZERO = {
    "weight_decay": 10.0, "spread_weight": 1e6, "near_weight": 1e6, "gain_weight": 1e6,
    "far_weight": 1e6, "large_odds": 100.0, "wide_share": 1.0, "average": 1.0,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Source:
    """A store of samples.

    Parameters
    ----------
    path : str
        Path of a database (``xsubpix database build``).
    share : float
        How often it is drawn from, in any unit.
    kind : str
        ``"database"``, or ``"scenes"``: samples are then made while training, see
        :mod:`xsubpix.training.ground`.

    Examples
    --------
    >>> Source("db.zarr", share=2.0).kind
    'database'
    """

    path: str
    share: float = 1.0
    kind: str = "database"

    def __post_init__(self) -> None:
        if not isinstance(self.path, str):
            raise DataError(f"path={self.path!r} of [[data]]: give the path of a database.")
        real_number(f"share of {self.path}", self.share, 0.0, 1e6, above=True, error=DataError)
        if self.kind not in ("database", "scenes"):
            raise DataError(f"kind={self.kind!r} of {self.path}: give 'database' or 'scenes'.")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run.

    Parameters
    ----------
    architecture : str
        See :func:`xsubpix.networks.available_networks`.
    network : dict
        Its keywords, such as ``width``.
    data : tuple of Source
    steps : int
        Updates of the weights.
    batch : int
        Samples an update, of all processes together.
    crop : int
        Side of a sample, pixels.
    seed : int
        Seed of samples and first weights.
    learning_rate, weight_decay, warmup, clip : float
        AdamW; the rate rises linearly over `warmup` steps and falls as a
        cosine to a hundredth. Gradients are clipped to the norm `clip`.
    decay, spread_weight, near_weight, gain_weight, power, reach, far_weight : float
        See :func:`xsubpix.training.losses.flow_loss`. `reach` is also the largest
        displacement that the weights are said to find.
    wide_crop : int
        Side of the samples of some steps, which take half as many; 0 for none.
    wide_share : float
        Share of these steps.
    reuse : int
        How often a frame is made into a sample, each time cut, turned and aged anew.
    large_odds : float
        Frames are seen at their factor f with odds ``f ** large_odds``: 0 makes
        them equal, more prefers large displacements.
    average : float
        Decay of the exponential moving average of the weights, which is what is
        validated and kept.
    validate_every, validation_frames : int
        Steps between validations, and frames of each store that they see.
    half : bool
        Compute convolutions in bfloat16 (CPU) or in mixed precision (GPU).
    compile : bool
        Use ``torch.compile``.
    augmentation : Augmentation

    Raises
    ------
    DataError
        A value is out of bounds.

    Examples
    --------
    >>> config = TrainConfig(data=(Source("db.zarr"),), steps=1000, network={"width": 0.5})
    >>> config.architecture, config.steps
    ('unet', 1000)
    """

    architecture: str = "unet"
    network: dict[str, Any] = dataclasses.field(default_factory=dict)
    data: tuple[Source, ...] = ()
    steps: int = 20_000
    batch: int = 8
    crop: int = 192
    seed: int = 0
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup: int = 200
    clip: float = 1.0
    decay: float = 0.7
    spread_weight: float = 0.05
    near_weight: float = 0.0
    gain_weight: float = 0.0
    power: float = 1.0
    reach: float = 8.0
    far_weight: float = 1.0
    wide_crop: int = 0
    wide_share: float = 0.0
    reuse: int = 1
    large_odds: float = 0.0
    average: float = 0.999
    validate_every: int = 500
    validation_frames: int = 20
    half: bool = True
    compile: bool = False
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        for name, (low, high) in _WHOLE.items():
            whole_number(name, getattr(self, name), low, high, error=DataError)
        for name, largest in _ABOVE_ZERO.items():
            real_number(name, getattr(self, name), 0.0, largest, above=True, error=DataError)
        for name, largest in _FROM_ZERO.items():
            real_number(name, getattr(self, name), 0.0, largest, error=DataError)
        for name in ("half", "compile"):
            if not isinstance(getattr(self, name), bool):
                raise DataError(f"{name}={getattr(self, name)!r}: give true or false.")
        if self.average >= 1:
            raise DataError(f"average={self.average!r}: give 0 or more, below 1.")
        if self.architecture not in available_networks():
            listed = ", ".join(available_networks())
            raise DataError(f"architecture={self.architecture!r}: give one of {listed}.")
        if not isinstance(self.network, dict):
            raise DataError(f"network={self.network!r}: give a table, [network] width = 0.5.")
        try:
            check_config(self.architecture, self.network)
        except ModelError as error:
            raise DataError(f"network: {error}") from error
        if not self.data:
            raise DataError("no data: name a database, as in [[data]] path = 'db.zarr'.")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from a table as TOML or JSON give it.

        Raises
        ------
        DataError
            An unknown key, or a value out of its bounds.
        """
        values = dict(values)
        for name, kind, words in (
            ("data", list | tuple, "tables, [[data]] path = 'db.zarr'"),
            ("augmentation", dict, "a table, [augmentation] noise = 0.1"),
            ("network", dict, "a table, [network] width = 0.5"),
        ):
            if name in values and not isinstance(values[name], kind):
                raise DataError(f"{name}={values[name]!r:.80}: give {words}.")
        try:
            if "data" in values:
                values["data"] = tuple(Source(**source) for source in values["data"])
            if "augmentation" in values:
                values["augmentation"] = Augmentation(**values["augmentation"])
            return cls(**values)
        except TypeError as error:
            valid = ", ".join(f.name for f in dataclasses.fields(cls))
            raise DataError(f"{error}. A training configuration takes {valid}.") from error

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a TOML file; stores are found beside it when their path is relative.

        Raises
        ------
        FileError
            The file is absent or is not TOML.
        DataError
            See :meth:`from_dict`.
        """
        path = Path(path)
        try:
            values = tomllib.loads(path.read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise FileError(f"{path} cannot be read as a configuration: {error}") from error
        stores = values.get("data", [])
        for source in stores if isinstance(stores, list) else []:
            if isinstance(source, dict) and "path" in source:
                source["path"] = str(path.parent / str(source["path"]))
        return cls.from_dict(values)

    def is_wide(self, step: int) -> bool:
        """True for a step that takes samples of ``wide_crop``."""
        if not self.wide_crop or not self.wide_share:
            return False
        return bool(np.random.default_rng([self.seed, step, 1]).random() < self.wide_share)

    def crop_of(self, number: int) -> int:
        """Side of the sample of a number, pixels."""
        return self.wide_crop if self.is_wide(number // self.batch) else self.crop

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a table for JSON."""
        return dataclasses.asdict(self)

    def digest(self) -> str:
        """SHA-256 of the settings, without the folders of the stores."""
        values = self.to_dict()
        for source in values["data"]:
            source["path"] = Path(source["path"]).name
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
