"""A displacement Dataset taken apart and put together again; shared by all of this package."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..field_input import checked_field
from ..grid import Grid, Plane, labelled
from ..kernels.robust import nmad
from ..lattice import Lattice, map_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from ..lattice import Array

__all__ = ["Field", "rms", "whole"]

_TIMES = ("reference_time", "secondary_time")


@dataclasses.dataclass(frozen=True)
class Field:
    """A displacement Dataset, checked.

    Attributes
    ----------
    disp : xarray.Dataset
    grid : Grid
    """

    disp: xr.Dataset
    grid: Grid

    @classmethod
    def of(cls, disp: xr.Dataset, *also: str, what: str = "disp") -> Field:
        """Check that there are ``east``, ``north`` and what is named, on a usable grid.

        Raises
        ------
        DataError
            A variable is absent, or this is no Dataset.
        DimensionError, GridError
            The field is on no usable grid.
        """
        disp = checked_field(disp, "east", "north", *also, what=what)
        return cls(disp, Grid.from_dataarray(disp["east"], what))

    @property
    def lazy(self) -> bool:
        """True if the components are dask arrays."""
        return any(hasattr(self.disp[name].data, "dask") for name in ("east", "north"))

    def loaded(self) -> Field:
        """The same in memory, what is measured computed once and together."""
        if not self.lazy:
            return self
        names = [*self.components, *(n for n in ("sigma", "quality", "flags") if n in self.disp)]
        return dataclasses.replace(self, disp=self.disp[names].compute())

    @property
    def plane(self) -> Plane:
        """Plane of the ground under the grid, in metres."""
        return Plane.of(self.grid)

    @property
    def unit(self) -> str:
        """Unit of length for texts: metres, or that of the coordinates."""
        return "m" if self.grid.units == "m" else "units of the grid"

    @property
    def components(self) -> list[str]:
        """``east``, ``north`` and, where there is one, ``up``."""
        return [name for name in ("east", "north", "up") if name in self.disp]

    @property
    def lengths(self) -> list[str]:
        """Names of what goes with the displacement, in its unit: components, ``sigma``, ....

        Further outputs of an estimator are among them where their unit is that of
        ``east``; without a unit only the names tell.
        """
        unit = self.disp["east"].attrs.get("units", "1")
        named = [name for name in (*self.components, "sigma") if name in self.disp]
        further = [name for name in self.further if unit != "1" and self._units(name) == unit]
        return [*named, *further]

    @property
    def further(self) -> list[str]:
        """Names of an estimator's own outputs: what else lies on the grid of the field."""
        known = {*self.components, "sigma", "quality", "flags"}
        return [
            str(name)
            for name, variable in self.disp.data_vars.items()
            if name not in known and set(variable.dims) == set(self.grid.dims)
        ]

    def _units(self, name: str) -> str:
        return str(self.disp[name].attrs.get("units", ""))

    @property
    def error_length_pixels(self) -> float:
        """Side of the square in which errors are about the same, pixels of the field, 1 or more.

        What the model states of itself; 1 for a field that says nothing.
        """
        return self._stated("model_error_length")

    @property
    def blur_pixels(self) -> float:
        """Distance from a fault within which the model blurs it, pixels of the field, 1 or more.

        What the model states of itself; 1 for a field that says nothing.
        """
        return self._stated("model_blur")

    def _stated(self, name: str) -> float:
        """A length among the attributes, which are pixels of the images, in pixels of the field."""
        length, step = (self.disp.attrs.get(key, 1.0) for key in (name, "model_step"))
        # Tags of a GeoTIFF are texts.
        return max(1.0, float(length) / float(step))

    def array(self, name: str) -> Array:
        """A variable, (rows, columns); ``sigma`` of a field without one is all NaN."""
        if name not in self.disp and name == "sigma":
            return np.float32(np.nan) * self.array("east")
        return self.disp[name].transpose(*self.grid.dims).data

    def map(
        self,
        function: Callable[..., Sequence[np.ndarray]],
        names: Sequence[str],
        outputs: int,
        *,
        halo: int = 0,
        extra: Sequence[Array] = (),
        dtype: Any = np.float32,
    ) -> tuple[Array, ...]:
        """Run ``function(blocks, rows, cols)`` over the field, block by block.

        `blocks` are float arrays with `halo` pixels around, NaN beyond the
        field; `rows`, `cols` the pixels' indices, halo included. Each output
        has the blocks' shape; its halo is cut off. Lazy where the field is.
        """
        arrays = [*(self.array(name) for name in names), *extra]
        return map_blocks(
            _Local(function, halo, np.dtype(dtype)),
            arrays,
            Lattice(self.grid.shape, step=1, halo=halo, tile=256),
            [dtype] * outputs,
            conditions=[_as_float] * len(arrays),
            name="subpix-field",
        )

    def replaced(self, arrays: Mapping[str, Any], attrs: Mapping[str, Any]) -> xr.Dataset:
        """The same Dataset with other values under some names, and further attributes."""
        out = self.disp.copy()
        for name, array in arrays.items():
            old = self.disp[name]
            new = xr.Variable(self.grid.dims, array).transpose(*old.dims)
            out[name] = xr.Variable(old.dims, new.data, old.attrs, old.encoding)
        out.attrs.update(attrs)
        return out

    def new(
        self,
        variables: Mapping[str, tuple[Any, Mapping[str, Any]]],
        attrs: Mapping[str, Any],
        *,
        unchanged: Sequence[str] = (),
    ) -> xr.Dataset:
        """A new Dataset on the same grid, with some variables of the old one as they are."""
        kept = {
            name: (self.array(name), self.disp[name].attrs)
            for name in unchanged
            if name in self.disp
        }
        times: dict[Hashable, Any] = {
            name: self.disp[name].variable for name in _TIMES if name in self.disp.coords
        }
        inherited = {
            key: value
            for key, value in self.disp.attrs.items()
            if key not in ("title", "coordinates", "grid_mapping")
        }
        return labelled(
            self.disp["east"],
            self.grid,
            {**variables, **kept},
            {**inherited, "Conventions": "CF-1.11", **attrs},
            coords=times,
        )

    def removed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
        """Report of a cleaning in words, with the RMS before and after; short if lazy."""
        if self.lazy:
            return ""
        # The RMS may be that of a few false matches; the NMAD is that of the rest.
        measures = (("RMS", rms), ("NMAD", nmad))
        parts = [
            f"{label} "
            + ", ".join(f"{k} {size(before[k]):.4g} -> {size(after[k]):.4g}" for k in before)
            for label, size in measures
        ]
        return f"; {'; '.join(parts)} {self.unit}"


def whole(
    function: Callable[..., np.ndarray], arrays: Sequence[Any], shape: tuple[int, ...]
) -> Any:
    """A float32 dask array that one task computes from all of some arrays.

    In place of ``dask.delayed``, which names what it is given at random.
    """
    import dask.array as da

    lazy = [da.asarray(array).rechunk(-1) for array in arrays]
    return da.map_blocks(
        function, *lazy, chunks=tuple((n,) for n in shape), dtype=np.float32,
        meta=np.empty((0,) * len(shape), np.float32),
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Local:
    """A block function that is told its pixels' indices: pure, picklable."""

    function: Callable[..., Sequence[np.ndarray]]
    halo: int
    dtype: np.dtype

    def __call__(
        self, blocks: list[np.ndarray], row: int, col: int, rows: int, cols: int
    ) -> tuple[np.ndarray, ...]:
        h = self.halo
        # Tiles that stick out of the field beyond the halo would only cost time.
        blocks = [block[: rows + 2 * h, : cols + 2 * h] for block in blocks]
        at = np.arange(row - h, row + rows + h), np.arange(col - h, col + cols + h)
        return tuple(
            np.asarray(out)[h : h + rows, h : h + cols].astype(self.dtype, copy=False)
            for out in self.function(blocks, *at)
        )


def _as_float(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def rms(values: Any) -> float:
    """Root of the mean square of what is finite; NaN where nothing is."""
    values = np.asarray(values, float)
    finite = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(finite**2))) if finite.size else float("nan")
