"""The estimator contract.

An estimator turns tiles of two images into pixel displacements. It knows
nothing of coordinates, missing-data attributes, files or dask: those are the
business of :mod:`xsubpix.grid`, :mod:`xsubpix.lattice` and
:mod:`xsubpix.correlate`, which every estimator gets for nothing.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import numpy as np

from ..checks import check_device, whole_number
from ..errors import ModelError

__all__ = ["OUTPUTS", "Estimate", "Estimator", "Flag", "Output"]


class Flag:
    """Bits of the ``flags`` variable (CF ``flag_masks``).

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.estimators import Flag
    >>> flags = np.array([0, 3], np.uint8)
    >>> (flags & Flag.EDGE) != 0
    array([False,  True])
    """

    #: Fewer than half of the window's pixels are valid in both images; the value is missing.
    NODATA = np.uint8(1)
    #: Part of the window lies outside the image; only the part inside was used.
    EDGE = np.uint8(2)
    #: Too little texture to match, or texture along one direction only.
    LOW_TEXTURE = np.uint8(4)
    #: The refinement did not converge, or what it found is not to be believed.
    NOT_CONVERGED = np.uint8(8)
    #: The match lies at the limit of the search range, or is no better than chance.
    OUT_OF_RANGE = np.uint8(16)
    #: The ground repeats itself: another place fits nearly as well.
    AMBIGUOUS = np.uint8(32)

    #: Bits of values that are not to be believed: products leave them out.
    UNSURE = LOW_TEXTURE | NOT_CONVERGED | OUT_OF_RANGE | AMBIGUOUS

    MEANINGS: ClassVar[dict[str, np.uint8]] = {
        "nodata": NODATA,
        "edge": EDGE,
        "low_texture": LOW_TEXTURE,
        "not_converged": NOT_CONVERGED,
        "out_of_range": OUT_OF_RANGE,
        "ambiguous": AMBIGUOUS,
    }


Kind: TypeAlias = Literal["number", "length", "bits", "displacement"]


@dataclasses.dataclass(frozen=True)
class Output:
    """One row of the table of outputs: a field that an estimator measures.

    Everything that handles results goes through the rows: tiles are put together,
    brought to the unit of the grid, labelled and written by what a row says.

    Parameters
    ----------
    name : str
        Key of the array in an :class:`Estimate`, and name of the variable in the
        Dataset unless `label` gives another.
    kind : {"number", "length", "bits", "displacement"}
        ``"number"``: has no unit of length, and is passed on as it is. ``"length"``:
        input pixels, which become the unit of the grid. ``"bits"``: an unsigned whole
        number whose bits are flags. ``"displacement"``: a component, ``dx`` or ``dy``.
    long_name : str
        CF attribute of the variable.
    dtype : str
        NumPy type of the array.
    units : str
        CF units of a ``"number"``; lengths have those of the grid.
    attrs : mapping
        Further attributes of the variable.
    label : str
        Name of the variable in the Dataset; that of the array by default.

    Raises
    ------
    ModelError
        The name cannot be that of a variable, or kind and type do not go together.

    Examples
    --------
    >>> from xsubpix.estimators import Output
    >>> Output("second_peak", "number", "second highest over highest correlation").dtype
    'float32'
    """

    name: str
    kind: Kind
    long_name: str
    dtype: str = "float32"
    units: str = "1"
    attrs: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False)
    label: str = ""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ModelError(f"name={self.name!r}: give a word of letters, digits and '_'.")
        kinds = "u" if self.kind == "bits" else "f"
        if self.kind not in get_args(Kind):
            raise ModelError(f"kind={self.kind!r}: give 'number', 'length' or 'bits'.")
        if np.dtype(self.dtype).kind != kinds:
            need = "an unsigned whole number" if kinds == "u" else "a floating-point number"
            raise ModelError(f"output {self.name!r}: dtype={self.dtype!r}, but it is {need}.")
        if not self.label:
            object.__setattr__(self, "label", self.name)

    @property
    def missing(self) -> Any:
        """Value where nothing was measured: NaN; no bit, but ``nodata`` in ``flags``."""
        if self.kind != "bits":
            return np.nan
        return Flag.NODATA if self.name == "flags" else 0


#: The outputs of every estimator.
OUTPUTS: tuple[Output, ...] = (
    Output("dx", "displacement", "displacement toward grid east", label="east"),
    Output("dy", "displacement", "displacement toward grid north", label="north"),
    Output("sigma", "length", "one-sigma uncertainty of each displacement component"),
    Output(
        "quality",
        "number",
        "quality of the match",
        attrs={
            "valid_range": np.array([0, 1], np.float32),
            "comment": "0 worthless to 1 perfect, as the model defines it",
        },
    ),
    Output(
        "flags",
        "bits",
        "status flags of the measurement",
        dtype="uint8",
        attrs={
            "standard_name": "quality_flag",
            "flag_masks": np.array(list(Flag.MEANINGS.values()), np.uint8),
            "flag_meanings": " ".join(Flag.MEANINGS),
        },
    ),
)
_STANDARD = tuple(output.name for output in OUTPUTS)
# Names that a further output cannot have: the Dataset has them already.
_RESERVED = {*_STANDARD, *(output.label for output in OUTPUTS), "up", "x", "y", "spatial_ref"}


@dataclasses.dataclass(frozen=True, eq=False)
class Estimate:
    """Result of an estimator: an array for each row of its table of outputs.

    For a batch of tiles all arrays have the shape ``(n, tile, tile)``; on the way
    there, dense estimators hold one that has a value at every pixel of a tile.

    Parameters
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
    further : mapping
        Arrays of the outputs that the estimator declares itself
        (:attr:`Estimator.further_outputs`), by name.

    Examples
    --------
    >>> import numpy as np
    >>> from xsubpix.estimators import Estimate
    >>> estimate = Estimate.missing((1, 4, 4))
    >>> estimate.dx[0, 0, 0], int(estimate["flags"].max())
    (np.float32(nan), 1)
    """

    dx: np.ndarray
    dy: np.ndarray
    sigma: np.ndarray
    quality: np.ndarray
    flags: np.ndarray
    further: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __getitem__(self, name: str) -> np.ndarray:
        """Array of an output, by name."""
        if name not in _STANDARD and name not in self.further:
            raise ModelError(
                f"no output {name!r} in an estimate that holds {', '.join(self.arrays())}: an "
                "estimator gives all outputs of its table, Estimate(..., further={name: array})."
            )
        array: np.ndarray = getattr(self, name) if name in _STANDARD else self.further[name]
        return array

    def __iter__(self) -> Iterator[np.ndarray]:
        """Arrays in the order of the table."""
        return iter(self.arrays().values())

    def arrays(self) -> dict[str, np.ndarray]:
        """All arrays by name, in the order of the table."""
        return {**{name: getattr(self, name) for name in _STANDARD}, **self.further}

    def mapped(self, function: Callable[[np.ndarray], np.ndarray]) -> Estimate:
        """A copy with a function applied to each array."""
        return Estimate.of({name: function(array) for name, array in self.arrays().items()})

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Estimate:
        """Estimate from arrays by name; those that are not standard are further ones."""
        further = {name: array for name, array in arrays.items() if name not in _STANDARD}
        return cls(**{name: arrays[name] for name in _STANDARD}, further=further)

    @classmethod
    def stacked(cls, parts: Sequence[Estimate]) -> Estimate:
        """One batch, from the estimates of single tiles."""
        return cls.of({name: np.stack([p[name] for p in parts]) for name in parts[0].arrays()})

    @classmethod
    def missing(cls, shape: tuple[int, ...], outputs: Sequence[Output] = OUTPUTS) -> Estimate:
        """Estimate in which every value is missing, flagged ``nodata``."""
        return cls.of({o.name: np.full(shape, o.missing, o.dtype) for o in outputs})

    def put(self, box: tuple[slice | np.ndarray, ...], part: Estimate) -> None:
        """Write `part` into `box`; its real numbers are missing where it is flagged ``nodata``."""
        missing = part.flags == Flag.NODATA
        for name, array in self.arrays().items():
            values = part[name]
            real = array.dtype.kind == "f"
            array[box] = np.where(missing, array.dtype.type(np.nan), values) if real else values


@dataclasses.dataclass(frozen=True, kw_only=True)
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
    step : int, optional
        Distance of neighbouring outputs, in input pixels. None: :attr:`default_step`.
    device : str
        ``"auto"`` (CUDA where there is one, else CPU) or a torch device.

    Examples
    --------
    >>> import dataclasses, numpy as np, xarray as xr, xsubpix
    >>> from xsubpix.estimators import Estimate, Estimator
    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class Still(Estimator):
    ...     name = "still"
    ...     halo = support = 0
    ...     tile = 64
    ...     def __call__(self, pre, post):
    ...         still = np.where(np.isfinite(pre + post), np.float32(0), np.float32(np.nan))
    ...         return Estimate(still, still, still, 1 + still, np.isnan(still).astype(np.uint8))
    >>> image = xr.DataArray(np.random.default_rng(0).random((70, 90)), dims=("y", "x"))
    >>> xsubpix.correlate(image, image, model=Still()).east.shape
    (70, 90)
    """

    step: int = None  # type: ignore[assignment]  # a number from __post_init__ on
    device: str = "auto"

    #: Registry name, written to the output's attributes.
    name: ClassVar[str] = ""
    #: A line for the output's attributes: method and reference.
    description: ClassVar[str] = ""
    #: Outputs beyond :data:`OUTPUTS`: rows of the table, declared by a subclass.
    further_outputs: ClassVar[tuple[Output, ...]] = ()
    #: Whether results are compared with the images once more, and flagged where nothing
    #: supports them (:mod:`xsubpix.estimators.doubt`).
    judged: ClassVar[bool] = True
    #: Whether `sigma` is the model's own, NaN where it has none. False: it is found from the
    #: images (:func:`xsubpix.estimators.image_sigma.sigma_from_images`), and where it is above
    #: half a pixel the result is flagged ``out_of_range``.
    states_sigma: ClassVar[bool] = True
    #: Where `sigma` is not below what the images and the surroundings say of a result
    #: (:func:`xsubpix.estimators.image_sigma.sigma_from_images`): ``"everywhere"`` for models
    #: whose own sigma is that of noise, while smoothness carries what it makes of changed
    #: ground; ``"holes"`` within :attr:`support` of missing pixels, for models that compare
    #: values which were filled in; ``"nowhere"``.
    least_sigma: ClassVar[str] = "nowhere"
    #: Whether missing pixels that make a pattern in both images leave results as they are.
    bears_patterns: ClassVar[bool] = False

    def __post_init__(self) -> None:
        step = self.default_step if self.step is None else self.step
        object.__setattr__(self, "step", whole_number("step", step, 1, 4096))
        check_device(self.device)
        _check_further(self.further_outputs)

    @property
    def default_step(self) -> int:
        """Distance of neighbouring outputs where none is asked for, pixels: 1."""
        return 1

    @property
    def blur(self) -> float:
        """Distance from a sharp step of the displacement within which it is blurred, pixels.

        Half the width of the ramp that the result makes of a step of the true field: a
        fit to one side of a fault leaves out what is nearer. The default is
        :attr:`support`; an estimator that knows better says so.
        """
        return float(self.support)

    @property
    def error_length(self) -> float:
        """Side of the square over which errors are about the same, pixels.

        The root of the area under the autocorrelation of the errors: the mean over an
        area A is as good as that of ``A / error_length**2`` independent values. The
        default is :attr:`support`; an estimator that knows better says so.
        """
        return float(self.support)

    @property
    def mean_over(self) -> int:
        """Distance over which the model ends with a mean of what moves alike, pixels; 0: none."""
        return 0

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Table of outputs: those of every estimator, then its own."""
        return (*OUTPUTS, *self.further_outputs)

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

    @property
    def likeness_reach(self) -> float | None:
        """Distance over which results depend on each other: ground that changed spoils them.

        Pixels; 0, the default, where each result stands alone. None: sigma itself tells where
        the images show nothing of the same ground, and windows are not compared along the
        result (:func:`~xsubpix.estimators.likeness.unlike`).
        """
        return 0.0

    @property
    def near_guess(self) -> Estimator | None:
        """The estimator that measures tiles whose first guess has two sides of a fault.

        One with a smaller search sees less of the ground on the other side. It has the same
        outputs, `step` and `tile`, and no larger `halo`. None, the default: the estimator itself.
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
            Arrays of shape ``(n, tile, tile)``, one for each of :attr:`outputs`.
        """

    def parameters(self) -> dict[str, object]:
        """The parameters in force, for the output's attributes."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


def _check_further(outputs: Sequence[Output]) -> None:
    """Refuse further outputs whose name or kind belongs to the standard ones."""
    seen = set(_RESERVED)
    for output in outputs:
        names = {output.name, output.label}
        if names & seen or output.kind == "displacement":
            raise ModelError(
                f"output {output.name!r} of kind {output.kind!r}: give a further output a name "
                f"other than {', '.join(sorted(seen))}, and the kind 'number', 'length' or 'bits'."
            )
        seen |= names
