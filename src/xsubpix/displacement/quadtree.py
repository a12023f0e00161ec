"""A field as few points with their covariance, for models of slip; and a field at points."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..checks import real_number, whole_number
from ..errors import DataError, FileError, ModelError
from ..kernels.variogram import Variogram
from .field import Field
from .flagged import left_out, sure_field
from .statistics import Statistics, statistics

__all__ = ["quadtree", "sample"]

# Share of a cell that must have values.
_LEAST_SHARE = 0.3
# Points a side of a cell that covariances are taken from: so many a reach of the variogram, up
# to five, and no more than so many in all.
_WITHIN_REACH, _WITHIN, _MOST_WITHIN = 12, 5, 10_000


def quadtree(
    disp: xr.Dataset,
    *,
    threshold: float,
    smallest: int = 4,
    largest: int = 64,
    noise: Statistics | None = None,
    keep_unsure: bool = False,
) -> xr.Dataset:
    """Reduce a field to points, dense where it bends.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north``; a lazy field is computed.
    threshold : float
        Cells in which a component scatters by more (root mean square about its mean, unit of
        the field) are divided into four.
    smallest, largest : int
        Sides of cells, pixels; `largest` is `smallest` times a power of two.
    noise : Statistics, optional
        Statistics of stable ground, from :func:`xsubpix.statistics`, for the covariance.
        None: those of the whole field, which count deformation as noise.
    keep_unsure : bool
        Use values flagged as unsure too.

    Returns
    -------
    xarray.Dataset
        Along ``point``: ``east``, ``north`` (means over cells), ``east_sigma``,
        ``north_sigma``, ``side`` (metres), ``n_values``; coordinates ``x``, ``y`` (CRS).
        ``east_covariance`` and ``north_covariance`` (point, other) of the means, from the
        variograms, squared unit of the field; positive definite. :func:`xsubpix.to_points`
        writes the points as GeoPackage, GeoJSON or CSV, ``points.to_netcdf("points.nc")`` the
        covariances too.

    Raises
    ------
    DataError
        No cell has enough values, or `disp` is not a displacement field.
    ModelError
        A parameter is out of bounds.

    References
    ----------
    Jónsson, S., Zebker, H., Segall, P. & Amelung, F. (2002). Fault slip distribution of the
    1999 Mw 7.1 Hector Mine, California, earthquake. Bulletin of the Seismological Society of
    America 92, 1377-1389.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> noise = np.random.default_rng(0).normal(0, 0.1, (2, 64, 64))
    >>> disp = xr.Dataset({n: (("y", "x"), a) for n, a in zip(("east", "north"), noise)})
    >>> xsubpix.quadtree(disp, threshold=0.5, smallest=4, largest=32).sizes["point"]
    4
    """
    threshold = real_number("threshold", threshold, 0.0, above=True)
    smallest = whole_number("smallest", smallest, 1, 4096)
    largest = whole_number("largest", largest, smallest, 8192)
    if (ratio := largest / smallest) != 2 ** round(np.log2(ratio)):
        raise ModelError(
            f"largest={largest} is no power of two times smallest={smallest}: give {2 * smallest}, "
            f"{4 * smallest}, {8 * smallest}, ...."
        )
    field, share = sure_field(Field.of(disp).loaded(), keep_unsure)
    arrays = np.stack([np.asarray(field.array(n), float) for n in ("east", "north")])
    cells = _cells(arrays, threshold, smallest, largest)
    if not cells:
        raise DataError("disp has no cell of which a third has values: take smaller cells.")
    rows, cols, sides, counts = (np.array(v) for v in list(zip(*cells, strict=True))[:4])
    means = np.array([cell[4] for cell in cells]).T
    x, y = field.plane.at(rows + (sides - 1) / 2, cols + (sides - 1) / 2)
    pixel = field.plane.pixel
    found = statistics(disp, keep_unsure=keep_unsure) if noise is None else noise
    unit = field.grid.units
    variables: dict[str, Any] = {
        "side": ("point", sides * pixel, {"long_name": "side of the cell", "units": unit}),
        "n_values": ("point", counts, {"long_name": "values in the cell", "units": "1"}),
    }
    for k, name in enumerate(("east", "north")):
        matrix = _covariance(found.models[name], np.column_stack([x, y]), sides * pixel, counts)
        about = {"long_name": f"mean {name} displacement", "units": unit}
        variables[name] = ("point", means[k], about)
        error = {"long_name": f"one-sigma error of {name}", "units": unit}
        variables[f"{name}_sigma"] = ("point", np.sqrt(np.diag(matrix)), error)
        words = {"long_name": f"covariance of {name}", "units": f"{unit}2" if unit == "m" else "1"}
        variables[f"{name}_covariance"] = (("point", "other"), matrix, words)
    px, py = field.plane.to_crs(x, y)
    out = xr.Dataset(
        variables,
        {"x": ("point", px), "y": ("point", py)},
        {"Conventions": "CF-1.11", "title": "Displacement at the cells of a quadtree",
         "threshold": threshold, **left_out(field.disp, share)},
    )  # fmt: skip
    return _with_crs(out, field)


def _cells(
    arrays: np.ndarray, threshold: float, smallest: int, largest: int
) -> list[tuple[int, int, int, int, np.ndarray]]:
    """First row and column, side, values and mean of each cell."""
    rows, cols = arrays.shape[1:]
    waiting = [
        (row, col, largest) for row in range(0, rows, largest) for col in range(0, cols, largest)
    ]
    found = []
    while waiting:
        row, col, side = waiting.pop()
        part = arrays[:, row : row + side, col : col + side]
        good = np.isfinite(part).all(0)
        if part.size == 0 or not good.any():
            continue
        values = part[:, good]
        rough = np.sqrt(values.var(axis=1).max()) > threshold or good.sum() < (
            _LEAST_SHARE * side**2
        )
        if rough and side > smallest:
            half = side // 2
            waiting += [(row + i, col + j, half) for i in (0, half) for j in (0, half)]
        elif good.sum() >= _LEAST_SHARE * side**2:
            found.append((row, col, side, int(good.sum()), values.mean(1)))
    return sorted(found, key=lambda cell: cell[:2])


def _covariance(
    model: Variogram, points: np.ndarray, sides: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Covariance of the means over square cells, positive definite.

    Each mean is one over a few points of its cell, the same for all pairs of cells: a
    covariance of points is positive definite, and so is one of means over them.
    """
    side_points = np.ones(sides.size, int)
    for finest in (_WITHIN_REACH, _WITHIN_REACH / 2, _WITHIN_REACH / 4):
        wanted = np.clip(np.ceil(sides / model.reach * finest), 1, _WITHIN).astype(int)
        if (wanted**2).sum() <= _MOST_WITHIN:
            side_points = wanted
            break
    within = [_within(n) for n in range(1, _WITHIN + 1)]
    spread = np.concatenate(
        [p + s * within[n - 1] for p, s, n in zip(points, sides, side_points, strict=True)]
    )
    number = side_points**2
    # Where points are so far apart that hardly two are alike, each stands for its surroundings.
    share = np.ones(sides.size)
    apart = sides / side_points
    for side in np.unique(apart[apart > model.reach / 2]):
        inside = side * within[-1]
        mean = model.covariance(np.hypot(*(inside[:, None] - inside).transpose(2, 0, 1))).mean()
        share[apart == side] = np.sqrt(mean / model.sill) if model.sill > 0 else 1.0
    first = np.concatenate([[0], np.cumsum(number)])
    matrix = np.empty((sides.size, sides.size))
    # Cells by the hundred: no more than some hundred MB at once.
    for start in range(0, sides.size, 100):
        cells = slice(start, min(start + 100, sides.size))
        rows = spread[first[cells.start] : first[cells.stop]]
        part = model.covariance(np.hypot(*(rows[:, None] - spread[None]).transpose(2, 0, 1)))
        part = np.add.reduceat(part, first[:-1], axis=1)
        part = np.add.reduceat(part, first[cells] - first[cells.start], axis=0)
        part *= (share / number)[cells, None] * (share / number)
        matrix[cells] = part
    # Rounding alone could take the least eigenvalue below zero.
    matrix[np.diag_indices(sides.size)] += np.maximum(model.nugget / counts, 1e-9 * model.sill)
    return matrix


def _within(n: int) -> np.ndarray:
    """Places of n x n points in a cell of side 1 about its centre."""
    step = (np.arange(n) + 0.5) / n - 0.5
    return np.stack(np.meshgrid(step, step), axis=-1).reshape(-1, 2)


def sample(
    disp: xr.Dataset,
    points: Any,
    *,
    radius: float | None = None,
    keep_unsure: bool = False,
) -> xr.Dataset:
    """Sample a field at points, and compare it with measurements there, such as GNSS.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north``; a lazy field is computed.
    points : array_like, GeoDataFrame, DataFrame, mapping, str or path
        Positions (n, 2) in the CRS of the field; a GeoDataFrame of points, in its CRS; or a
        table (a ``*.csv`` too) with the columns ``x`` and ``y`` in the CRS of the field, or
        ``lon`` and ``lat``. Columns ``name``, ``east``, ``north``, ``east_sigma`` and
        ``north_sigma`` are taken along.
    radius : float, optional
        Radius within which the median of the values is taken, metres. None: two pixels.
    keep_unsure : bool
        Use values flagged as unsure too.

    Returns
    -------
    xarray.Dataset
        Along ``point``: ``east``, ``north``, their ``east_scatter``, ``north_scatter`` (NMAD
        within the radius) and ``n_values``, with the coordinates ``x``, ``y`` and ``station``
        (the name). For points with measurements also ``east_given``, ``north_given`` and the
        differences ``east_difference``, ``north_difference`` (field minus given). NaN off the
        field. Its method ``to_dataframe()`` makes a table, ``subpix.plot()`` a figure.

    Raises
    ------
    DataError
        The points have no positions, or `disp` is not a displacement field.
    FileError
        The table cannot be read.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> pixel = {"y": -30.0 * np.arange(40), "x": 30.0 * np.arange(60)}
    >>> moved = (("y", "x"), np.full((40, 60), 1.5))
    >>> disp = xr.Dataset({"east": moved, "north": moved}, pixel)
    >>> table = {"x": [600.0], "y": [-600.0], "east": [1.2], "north": [1.5]}
    >>> round(float(xsubpix.sample(disp, table).east_difference[0]), 2)
    0.3
    """
    field, share = sure_field(Field.of(disp).loaded(), keep_unsure)
    pixel = field.plane.pixel
    reach = 2 * pixel if radius is None else real_number("radius", radius, 0.0, above=True)
    table = _table(points)
    x, y = _positions(table, field)
    px, py = field.plane.from_crs(x, y)
    row, col = field.plane.index(px, py)
    arrays = {name: np.asarray(field.array(name), float) for name in field.components}
    size = int(np.ceil(reach / pixel))
    found: dict[str, np.ndarray] = {
        f"{name}{end}": np.full(x.size, np.nan) for name in arrays for end in ("", "_scatter")
    }
    count = np.zeros(x.size, int)
    for k in range(x.size):
        if not (np.isfinite(row[k]) and np.isfinite(col[k])):
            continue
        first = [max(0, round(float(c[k])) - size) for c in (row, col)]
        part = tuple(slice(f, max(f, round(float(c[k])) + size + 1))
                     for f, c in zip(first, (row, col), strict=True))  # fmt: skip
        inside = arrays["east"][part]
        r, c = np.indices(inside.shape)
        ax, ay = field.plane.at(r + first[0], c + first[1])
        near = (np.hypot(ax - px[k], ay - py[k]) <= reach) & np.isfinite(inside)
        count[k] = near.sum()
        for name, array in arrays.items():
            values = array[part][near]
            if values.size:
                middle = float(np.median(values))
                found[name][k] = middle
                found[f"{name}_scatter"][k] = 1.4826 * float(np.median(np.abs(values - middle)))
    unit = field.grid.units
    variables: dict[str, Any] = {n: ("point", v, {"units": unit}) for n, v in found.items()}
    variables["n_values"] = ("point", count)
    for name in ("east", "north"):
        if name in table:
            given = np.asarray(table[name], float)
            variables[f"{name}_given"] = ("point", given, {"units": unit})
            variables[f"{name}_difference"] = ("point", found[name] - given, {"units": unit})
        if f"{name}_sigma" in table:
            given = np.asarray(table[f"{name}_sigma"], float)
            variables[f"{name}_given_sigma"] = ("point", given, {"units": unit})
    coords: dict[str, Any] = {"x": ("point", x), "y": ("point", y)}
    if "name" in table:
        coords["station"] = ("point", np.asarray(table["name"]).astype(str))
    attrs = {"title": "Displacement at points", "radius": reach, **left_out(field.disp, share)}
    return _with_crs(xr.Dataset(variables, coords, attrs), field)


def _with_crs(out: xr.Dataset, field: Field) -> xr.Dataset:
    if field.grid.crs is None:
        return out
    import rioxarray  # noqa: F401  (registers .rio)

    return out.rio.write_crs(field.grid.crs.to_wkt())


def _table(points: Any) -> dict[str, Any]:
    """Columns of points, whatever holds them."""
    if isinstance(points, str | os.PathLike):
        path = Path(points)
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise FileError(f"cannot read the points {path}: {error}") from error
        if not rows:
            raise FileError(f"{path} has no rows below its header.")
        text = {str(key).strip(): [row[key] for row in rows] for key in rows[0]}
        return {k: v if k == "name" else np.array(list(map(_number, v))) for k, v in text.items()}
    if hasattr(points, "geometry") and hasattr(points, "columns"):
        table = {str(c): points[c].to_numpy() for c in points.columns if c != "geometry"}
        return {**table, "x": points.geometry.x.to_numpy(), "y": points.geometry.y.to_numpy(),
                "crs": points.crs}  # fmt: skip
    if hasattr(points, "columns"):
        return {str(c): points[c].to_numpy() for c in points.columns}
    if isinstance(points, Mapping):
        return dict(points)
    at = np.asarray(points, float)
    if at.ndim != 2 or at.shape[1] != 2:
        raise DataError(f"points have the shape {at.shape}: give positions (x, y), (n, 2).")
    return {"x": at[:, 0], "y": at[:, 1]}


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")


def _positions(table: dict[str, Any], field: Field) -> tuple[np.ndarray, np.ndarray]:
    """Positions of a table in the CRS of a field."""
    crs = table.pop("crs", None)
    if {"x", "y"} <= set(table):
        x, y = (np.asarray(table[n], float) for n in ("x", "y"))
    elif {"lon", "lat"} <= set(table):
        x, y = (np.asarray(table[n], float) for n in ("lon", "lat"))
        crs = "OGC:CRS84"
    else:
        raise DataError(f"points have the columns {list(table)}: 'x' and 'y', or 'lon' and 'lat'.")
    if crs is None:
        return x, y
    if field.grid.crs is None:
        raise DataError("points have a CRS, and disp has none: disp = disp.rio.write_crs(...).")
    import pyproj

    to = pyproj.Transformer.from_crs(crs, field.grid.crs, always_xy=True)
    out = to.transform(x, y)
    return np.asarray(out[0]), np.asarray(out[1])
