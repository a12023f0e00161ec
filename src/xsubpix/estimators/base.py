"""The estimator contract.

An estimator turns tiles of two images into pixel displacements. It knows
nothing of coordinates, missing-data attributes, files or dask: those are the
business of :mod:`xsubpix.grid`, :mod:`xsubpix.lattice` and
:mod:`xsubpix.correlate`, which every estimator gets for nothing.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np

from ..checks import check_device, whole_number

__all__ = ["Estimate", "Estimator", "Flag"]


class Flag:
    """Bits of the ``flags`` variable (CF ``flag_masks``)."""

    NODATA = np.uint8(1)
    EDGE = np.uint8(2)
    LOW_TEXTURE = np.uint8(4)
    NOT_CONVERGED = np.uint8(8)
    OUT_OF_RANGE = np.uint8(16)

    MEANINGS: ClassVar[dict[str, np.uint8]] = {
        "nodata": NODATA,
        "edge": EDGE,
        "low_texture": LOW_TEXTURE,
        "not_converged": NOT_CONVERGED,
        "out_of_range": OUT_OF_RANGE,
    }


class Estimate(NamedTuple):
    """What an estimator returns for a batch of tiles.

    All arrays have shape ``(n, tile, tile)``.

    Attributes
    ----------
    dx, dy : numpy.ndarray of float32
        Displacement to the right (columns) and down (rows), input pixels:
        where the ground seen at a place in ``pre`` lies in ``post``, minus
        that place. NaN where nothing can be said.
    sigma : numpy.ndarray of float32
        One-sigma uncertainty per component, input pixels; NaN where the
        estimator has none.
    quality : numpy.ndarray of float32
        0 (worthless) to 1 (perfect); each estimator's docstring defines it.
    flags : numpy.ndarray of uint8
        Bits of :class:`Flag`. The bit ``EDGE`` is set by the caller.
    """

    dx: np.ndarray
    dy: np.ndarray
    sigma: np.ndarray
    quality: np.ndarray
    flags: np.ndarray


@dataclasses.dataclass(frozen=True)
class Estimator(ABC):
    """Base of all estimators: an immutable set of parameters and a function.

    Subclasses are frozen dataclasses whose fields are the parameters a user
    may give to :func:`xsubpix.correlate`; they can be pickled, compared and
    tokenised by dask, and hold no image.

    The geometry of a tile: a call gets arrays of ``tile * step + 2 * halo``
    pixels a side, and returns ``tile`` values a side. Output ``(i, j)``
    belongs to the point ``halo + i * step + (step - 1) / 2`` (pixel centres
    at whole numbers) of the tile's rows, likewise for its columns: the centre
    of the block of ``step`` x ``step`` pixels that it stands for.

    Parameters
    ----------
    step : int
        Distance of neighbouring outputs, in input pixels.
    device : str
        ``"auto"`` (CUDA where there is one, else CPU) or a torch device.
    """

    step: int = 1
    device: str = "auto"

    #: Registry name, written to the output's attributes.
    name: ClassVar[str] = ""
    #: A line for the output's attributes: method and reference.
    description: ClassVar[str] = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", whole_number("step", self.step, 1, 4096))
        check_device(self.device)

    @property
    @abstractmethod
    def halo(self) -> int:
        """Context that one output needs on each side of its block, pixels."""

    @property
    @abstractmethod
    def support(self) -> int:
        """Reach of the window that makes one output's value, pixels.

        At most ``halo`` (which also holds the search range). Outputs nearer
        than this to the image's border are flagged ``edge``.
        """

    @property
    @abstractmethod
    def tile(self) -> int:
        """Outputs a tile side; bounds the memory of one call."""

    @property
    def own_search(self) -> int | None:
        """Largest `search`, pixels, that it is given; beyond, it gets a first guess.

        See :class:`~xsubpix.estimators.pyramid.CoarseToFine`. None, the default:
        never, and whatever is asked for is the estimator's own affair.
        """
        return None

    @abstractmethod
    def __call__(self, pre: np.ndarray, post: np.ndarray) -> Estimate:
        """Measure the displacement between two batches of tiles.

        Parameters
        ----------
        pre, post : numpy.ndarray of float32
            Shape ``(n, h, w)``, ``h = w = tile * step + 2 * halo``. NaN is
            missing data (nodata, or outside of the image); values are of
            order 1e-6 to 1e6, in any radiometric unit.

        Returns
        -------
        Estimate
            Arrays of shape ``(n, tile, tile)``.
        """

    def parameters(self) -> dict[str, object]:
        """The parameters in force, for the output's attributes."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
