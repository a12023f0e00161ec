"""Curves: profiles, offsets along strike, training."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..errors import DataError, FileError
from .style import letter, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_offsets", "plot_profile", "plot_training"]

# Okabe & Ito's colours: told apart by all.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def plot_profile(
    profile: xr.Dataset,
    *,
    components: Sequence[str] = ("along", "right"),
    truth: xr.Dataset | None = None,
    title: str | None = None,
    figure: Any = None,
) -> Figure:
    """Draw a profile with its uncertainty.

    Parameters
    ----------
    profile : xarray.Dataset
        From :func:`xsubpix.profile`.
    components : sequence of str
        Which of ``along``, ``right``, ``east``, ``north``, ``up``; one above the other.
    truth : xarray.Dataset, optional
        Another profile, of a known field along the same line, drawn as a line.
    title : str, optional
        Title above the figure.
    figure : matplotlib.figure.Figure or SubFigure, optional
        Where to draw, e.g. ``plt.figure()``. None: a figure of its own.

    Returns
    -------
    matplotlib.figure.Figure
        Points with bars of two sigma, over the range of single values (one scatter).

    Raises
    ------
    DataError
        This is not a profile, or lacks a component.
    SubpixError
        matplotlib is not installed.

    Examples
    --------
    >>> from xsubpix.tutorial import example_earthquake, procedural_scene
    >>> post, truth = example_earthquake(procedural_scene((64, 64)))
    >>> from xsubpix.plot import plot_profile
    >>> x, y = truth.x, truth.y
    >>> profile = xsubpix.profile(truth, [(x[4], y[32]), (x[-4], y[32])], width=50.0)
    >>> figure = plot_profile(profile)
    """
    names = [components] if isinstance(components, str) else list(components)
    for what, table in (("profile", profile), ("truth", truth)):
        if table is not None and (
            not isinstance(table, xr.Dataset) or not {*names, "distance"} <= set(table.variables)
        ):
            have = list(table) if isinstance(table, xr.Dataset) else type(table).__name__
            raise DataError(f"{what} has {have}; a profile with {names} is needed.")
    figure = new_figure((7.5, 0.8 + 2.1 * len(names)), figure)
    axes = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    unit, scale = _length_axis(profile["distance"])
    at = profile["distance"].values * scale
    for k, (ax, name) in enumerate(zip(axes, names, strict=True)):
        value, error = profile[name].values, profile[f"{name}_sigma"].values
        scatter = profile[f"{name}_scatter"].values
        ax.fill_between(at, value - scatter, value + scatter, color="0.88", lw=0, label="scatter")
        if truth is not None:
            ax.plot(
                truth["distance"].values * scale, truth[name].values, color="black", lw=1.2,
                label="truth",
            )  # fmt: skip
        ax.errorbar(
            at, value, 2 * np.nan_to_num(error), fmt=".", color=_COLOURS[k % 6], ms=4, lw=0.8,
            label="stacked, 2 sigma",
        )  # fmt: skip
        ax.axhline(0, color="0.6", lw=0.6, zorder=0)
        ax.set_ylabel(f"{name} ({_unit(profile[name])})")
        letter(ax, k)
    axes[0].legend(
        frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), fontsize="small"
    )
    axes[-1].set_xlabel(f"distance along the profile ({unit})")
    axes[-1].set_xlim(at.min(), at.max() if at.max() > at.min() else at.min() + 1)
    if title:
        figure.suptitle(title)
    return figure


def plot_offsets(
    offsets: xr.Dataset,
    *,
    truth: xr.Dataset | None = None,
    title: str | None = None,
    figure: Any = None,
) -> Figure:
    """Draw offsets along a fault, with their intervals and the width of its zone.

    Parameters
    ----------
    offsets : xarray.Dataset
        From :func:`xsubpix.offsets`.
    truth : xarray.Dataset, optional
        Other offsets along the same trace (of a known field), drawn as lines.
    title : str, optional
        Title above the figure.
    figure : matplotlib.figure.Figure or SubFigure, optional
        Where to draw, e.g. ``plt.figure()``. None: a figure of its own.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        These are not offsets.
    SubpixError
        matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> pixel = {"y": -30.0 * np.arange(40), "x": 30.0 * np.arange(60)}
    >>> x = np.broadcast_to(pixel["x"], (40, 60))
    >>> step = np.where(x < 900, -1.0, 1.0)
    >>> disp = xr.Dataset({"east": (("y", "x"), 0 * step), "north": (("y", "x"), step)}, pixel)
    >>> trace = [(885.0, -1170.0), (885.0, 0.0)]
    >>> offsets = xsubpix.offsets(disp, trace, spacing=300.0, half_length=450.0)
    >>> from xsubpix.plot import plot_offsets
    >>> figure = plot_offsets(offsets)
    """
    for what, table in (("offsets", offsets), ("truth", truth)):
        if table is not None and (
            not isinstance(table, xr.Dataset)
            or not {"parallel", "parallel_low", "distance"} <= set(table.variables)
        ):
            have = list(table) if isinstance(table, xr.Dataset) else type(table).__name__
            raise DataError(f"{what} has {have}; what xsubpix.offsets returns is needed.")
    labels = {
        "parallel": "right-lateral", "perpendicular": "opening", "up": "right side up",
    }  # fmt: skip
    names = [name for name in labels if name in offsets]
    figure = new_figure((7.5, 6.4), figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
    unit, scale = _length_axis(offsets["distance"])
    at = offsets["distance"].values * scale
    level = f"{100 * float(offsets.attrs.get('confidence', 0.95)):g} %"
    for name, colour in zip(names, _COLOURS, strict=False):
        low, high = offsets[f"{name}_low"].values, offsets[f"{name}_high"].values
        upper.fill_between(at, low, high, color=colour, alpha=0.25, lw=0)
        upper.plot(at, offsets[name].values, ".-", color=colour, ms=5, lw=1, label=labels[name])
        if truth is not None and name in truth:
            upper.plot(truth["distance"].values * scale, truth[name].values, "--", color=colour)
    if truth is not None:
        upper.plot([], [], "--", color="0.3", label="truth")
    valid = at[np.isfinite(offsets["parallel"].values)]
    if valid.size:
        margin = 0.03 * float(np.ptp(valid)) or 0.5 * scale
        upper.set_xlim(valid.min() - margin, valid.max() + margin)
    upper.axhline(0, color="0.6", lw=0.6, zorder=0)
    upper.set_ylabel(f"offset ({_unit(offsets['parallel'])})")
    upper.legend(frameon=False, title=f"bands: {level}", ncols=4, fontsize="small",
                 loc="lower right", bbox_to_anchor=(1, 1))  # fmt: skip
    lower.plot(at, offsets["zone_width"].values, ".-", color="0.25", ms=5, lw=1)
    lower.set_ylabel(f"zone width ({_unit(offsets['zone_width'])})")
    lower.set_ylim(bottom=0)
    lower.set_xlabel(f"distance along the trace ({unit})")
    twin = lower.twinx()
    twin.plot(at, 100 * offsets["off_fault_share"].values, ".:", color=_COLOURS[1], ms=4, lw=1)
    twin.set_ylabel("off the fault (%)", color=_COLOURS[1])
    # Below zero too: a share of zero is a line of its own, not the frame.
    twin.set_ylim(-6, 106)
    twin.set_yticks(range(0, 101, 25))
    letter(upper, 0)
    letter(lower, 1)
    if title:
        figure.suptitle(title)
    return figure


def plot_training(
    history: Mapping[str, Sequence[float]] | str | os.PathLike[str],
    *,
    title: str | None = None,
    figure: Any = None,
) -> Figure:
    """Draw training curves.

    Parameters
    ----------
    history : mapping or path
        Columns by name, ``step`` (or ``epoch``) among them; or the ``progress.csv`` that
        training writes. Rates (names with ``lr`` or ``rate``) and seconds are left out.
    title : str, optional
        Title above the figure.
    figure : matplotlib.figure.Figure or SubFigure, optional
        Where to draw, e.g. ``plt.figure()``. None: a figure of its own.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    FileError
        The file cannot be read as such a table.
    DataError
        There is no step, or nothing beside it.
    SubpixError
        matplotlib is not installed.

    Examples
    --------
    >>> from xsubpix.plot import plot_training
    >>> figure = plot_training({"step": [500, 1000], "epe": [0.21, 0.14]})
    """
    columns = _read_columns(history)
    key = next((k for k in ("step", "epoch") if k in columns), None)
    curves = {
        name: values
        for name, values in columns.items()
        if name != key
        and np.isfinite(values).any()
        and not any(word in name.lower() for word in ("rate", "second", "time"))
        and name.lower() != "lr"
    }
    if key is None or not curves:
        raise DataError(f"history has {list(columns)}; 'step' and at least one curve are needed.")
    figure = new_figure((7.0, 4.2), figure)
    ax = figure.subplots()
    x = columns[key]
    for k, (name, values) in enumerate(curves.items()):
        good = np.isfinite(values)
        few = good.sum() < 40
        ax.plot(
            x[good], values[good], "o-" if few else "-", color=_COLOURS[k % 6], ms=3, lw=1.2,
            label=name.replace("_", " "),
        )  # fmt: skip
    if all((v[np.isfinite(v)] > 0).all() for v in curves.values()):
        ax.set_yscale("log")
    ax.set(xlabel=key, ylabel="error or loss")
    ax.grid(alpha=0.25, which="both")
    ax.legend(frameon=False)
    if title:
        ax.set_title(title)
    return figure


def _read_columns(history: Any) -> dict[str, np.ndarray]:
    if isinstance(history, Mapping):
        columns = {str(k): np.asarray(v, float) for k, v in history.items()}
        if len({v.size for v in columns.values()}) > 1:
            sizes = {k: v.size for k, v in columns.items()}
            raise DataError(f"the columns of history have different lengths: {sizes}.")
        return columns
    path = Path(history)
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"cannot read {path}: {error}") from error
    if not rows:
        raise FileError(f"{path} has no rows below its header.")
    return {str(name): np.array([_float(row[name]) for row in rows]) for name in rows[0]}


def _float(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")


def _unit(values: xr.DataArray) -> str:
    unit = str(values.attrs.get("units", ""))
    return "unit of the grid" if unit in ("1", "") else unit


def _length_axis(distance: xr.DataArray) -> tuple[str, float]:
    """Unit of a distance axis and its scale: kilometres beyond three."""
    unit = str(distance.attrs.get("units", "1"))
    if unit == "m" and float(distance.max()) > 3000:
        return "km", 1e-3
    return ("unit of the grid" if unit == "1" else unit), 1.0
