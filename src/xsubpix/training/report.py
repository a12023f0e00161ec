"""The page of an evaluation: tables in reStructuredText, and figures."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..files.writing import new_target
from ..plot.methods import method_style
from .scores import METRICS, Evaluation, GroupScores, Metric

__all__ = ["check_page", "table", "text_table", "write_page"]


def text_table(result: Evaluation) -> str:
    """Write the tables of all sets as plain text, for a terminal."""
    parts = []
    for group, count in result.counts.items():
        parts += ["", f"{group} ({count})", *table(_rows(result, group))]
    return "\n".join(parts).strip("\n")


def table(rows: list[list[str]]) -> list[str]:
    """Lay out a simple table of reStructuredText; the first row is its head."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    rule = "  ".join("=" * w for w in widths)
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return [rule, lines[0].rstrip(), rule, *(line.rstrip() for line in lines[1:]), rule]


def write_page(
    result: Evaluation,
    folder: Path,
    name: str = "networks",
    *,
    overwrite: bool = False,
    update: bool = False,
) -> Path:
    """Write ``<name>.rst``, ``<name>.json`` and the figures.

    Parameters
    ----------
    result : Evaluation
    folder : pathlib.Path
        Made when absent.
    name : str
        Name of the files.
    overwrite : bool
        Replace an earlier page.
    update : bool
        Replace an earlier page, but keep the figures of methods that it has and the result has
        not.

    Returns
    -------
    pathlib.Path
        Path of the page.

    Raises
    ------
    FileError
        There is a page of that name.
    DataError
        The page to update was measured on other cases.

    Examples
    --------
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from xsubpix.training.cases import Case
    >>> from xsubpix.training.evaluate import evaluate
    >>> image = np.zeros((96, 96), "f4")
    >>> case = Case("still", "blank", image, image, np.zeros((2, 96, 96), "f4"), "0", None)
    >>> write_page(evaluate({}, [case]), Path("page")).name
    'networks.rst'
    """
    check_page(folder, overwrite or update, name)
    folder.mkdir(parents=True, exist_ok=True)
    figures = folder / f"{name}.json"
    if update and figures.exists():
        result = _with_earlier(result, figures)
    lines = _text(result)
    if _draw(result, folder / f"{name}_distance.png"):
        lines += [
            "Figures", "-------", "",
            f".. image:: {name}_distance.png",
            "   :alt: Mean error by distance from the trace.", "",
            f".. image:: {name}_worst.png",
            "   :alt: The worst cases of the first method.", "",
        ]  # fmt: skip
        _draw_worst(result, folder / f"{name}_worst.png")
    page = folder / f"{name}.rst"
    page.write_text("\n".join(lines))
    values = {
        method: {group: scores.values for group, scores in groups.items()}
        for method, groups in result.scores.items()
    }
    written = {
        "border": result.border, "counts": result.counts, "scores": _rounded(values),
        "seconds": _rounded(result.seconds),
    }  # fmt: skip
    figures.write_text(json.dumps(written, indent=1) + "\n")
    return page


def _with_earlier(result: Evaluation, path: Path) -> Evaluation:
    """Add the scores of methods that an earlier page's file has and the result has not."""
    earlier = json.loads(path.read_text())
    for key, now in (("border", result.border), ("counts", result.counts)):
        if earlier.get(key) != now:
            raise DataError(
                f"{path} was measured with {key} {earlier.get(key)}, this result with {now}: "
                "rows would not compare. Measure all methods again, with --overwrite."
            )
    scores, seconds = dict(result.scores), dict(result.seconds)
    last = {name: scores.pop(name) for name in list(scores) if name == "zero predictor"}
    for method, groups in earlier["scores"].items():
        if method not in result.scores:
            scores[method] = {g: GroupScores(_with_nan(values)) for g, values in groups.items()}
            seconds[method] = earlier["seconds"][method]
    return dataclasses.replace(result, scores=scores | last, seconds=seconds)


def _with_nan(values: dict[str, Any]) -> dict[str, Any]:
    """Turn what JSON holds for missing numbers back into NaN."""
    return {
        key: _with_nan(value) if isinstance(value, dict) else math.nan if value is None else value
        for key, value in values.items()
    }


def check_page(folder: Path, overwrite: bool, name: str = "networks") -> None:
    """Refuse a folder that has such a page, unless it may be replaced.

    Raises
    ------
    FileError
        There is a page of that name.
    """
    for ending in (".rst", ".json", "_distance.png", "_worst.png"):
        if folder.is_dir():
            new_target(folder / f"{name}{ending}", overwrite)


def _text(result: Evaluation) -> list[str]:
    """Lines of the page but for its figures."""
    title = "Networks and correlators compared"
    notes = [metric.note for metric in METRICS if metric.note]
    lines = [
        title,
        "=" * len(title),
        "",
        "Every method measures the same pairs, whose displacement is known. Written by ``xsubpix "
        "evaluate``, not by hand. How to read the tables:",
        "",
        "* Errors are end-point errors in pixels, over all values, flagged or not, except a border "
        f"of {result.border} px, the same for all methods; window correlators give one every 4 px.",
        "* On simulated second dates, what misplaced detectors displace counts as displacement.",
        "* *< 8 px* is the mean error within 8 px of the trace of the rupture.",
        *(f"* {note}." for note in notes),
        "* *CPU s* are CPU seconds for a million pixels, all processors together.",
        "* The *zero predictor* says that nothing moved: a method with a larger error than that is "
        "worse than no measurement.",
        "",
    ]
    for group, count in result.counts.items():
        label = f"{group} ({count} pairs)".capitalize()
        lines += [label, "-" * len(label), "", *table(_rows(result, group)), ""]
        for metric in (m for m in METRICS if m.by_class):
            rows = _class_rows(result, group, metric)
            if rows:
                lines += [f"{metric.heading}:", "", *table(rows), ""]
    return lines


def _rows(result: Evaluation, group: str) -> list[list[str]]:
    """Table of the metrics that are one number."""
    shown = [metric for metric in METRICS if not metric.by_class]
    rows = [["method", *(metric.heading for metric in shown), "CPU s"]]
    for method, groups in result.scores.items():
        cells = [_cell(getattr(groups[group], m.name), percent=m.percent) for m in shown]
        rows.append([_shown(method), *cells, f"{result.seconds[method]:.1f}"])
    return _without_empty(rows)


def _class_rows(result: Evaluation, group: str, metric: Metric) -> list[list[str]]:
    """Table of a metric that has one number for each class; nothing if no method has it."""
    tables: dict[str, dict[str, float]] = {}
    for method, groups in result.scores.items():
        values = groups[group].values[metric.name]
        # A method without sigma has no classes of it, and no row.
        if isinstance(values, dict) and values:
            tables[method] = values
    if not tables:
        return []
    classes = list(next(iter(tables.values())))
    rows = [["method", *classes]]
    for method, values in tables.items():
        cells = [_cell(values.get(c, math.nan), percent=metric.percent) for c in classes]
        rows.append([_shown(method), *cells])
    rows = _without_empty(rows)
    return rows if len(rows[0]) > 2 else []


def _without_empty(rows: list[list[str]]) -> list[list[str]]:
    """Leave out the columns in which no method has a value."""
    kept = [0] + [k for k in range(1, len(rows[0])) if any(row[k] != "–" for row in rows[1:])]
    return [[row[k] for k in kept] for row in rows]


def _shown(method: str) -> str:
    """Name of a method: of a file of weights, its name alone."""
    return Path(method).stem if method.endswith(".safetensors") else method


def _cell(value: float, *, percent: bool) -> str:
    """Number as it is shown; a dash for none."""
    if not math.isfinite(value):
        return "–"
    return f"{100 * value:.1f} %" if percent else f"{value:.3f}"


def _rounded(values: object) -> object:
    """Round all numbers of nested tables to five digits, for JSON; None for what is not one."""
    if isinstance(values, dict):
        return {key: _rounded(value) for key, value in values.items()}
    if isinstance(values, float):
        return round(values, 5) if math.isfinite(values) else None
    return values


def _draw(result: Evaluation, path: Path) -> bool:
    """Draw the error by distance from the trace; False where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, NullFormatter
    except ImportError:
        return False
    groups = [
        group
        for group in result.counts
        if np.isfinite(next(iter(next(iter(result.scores.values()))[group].by_distance.values())))
    ]
    figure = Figure(figsize=(5.0 * max(1, len(groups)) + 1.8, 4.4), layout="constrained")
    panels = figure.subplots(1, max(1, len(groups)), squeeze=False)[0]
    for axes, group in zip(panels, groups, strict=False):
        for method, scores in result.scores.items():
            classes = scores[group].by_distance
            axes.plot(
                list(classes), list(classes.values()), label=_shown(method),
                **{"markersize": 4, **method_style(method)},
            )  # fmt: skip
        axes.set(yscale="log", title=group, xlabel="distance from the trace")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.tick_params("x", labelrotation=40)
        axes.set_ylabel("mean end-point error (px)")
        axes.grid(alpha=0.3, which="both")
    if panels[0].get_legend_handles_labels()[0]:
        panels[-1].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.savefig(path, dpi=110)
    return True


def _draw_worst(result: Evaluation, path: Path) -> None:
    """Draw the worst cases of the first method: images, truth, result and error."""
    from matplotlib.figure import Figure
    from PIL import Image

    rows = len(result.worst)
    figure = Figure(figsize=(14, 2.9 * rows), layout="constrained")
    panels = figure.subplots(rows, 5, squeeze=False)
    for axes, worst in zip(panels, result.worst, strict=True):
        case, found = worst.case, worst.found
        limit = max(0.1, float(np.nanquantile(np.abs(case.flow), 0.99)))
        for k, (image, title) in enumerate(((case.pre, "pre"), (case.post, "post"))):
            low, high = np.nanquantile(image, (0.02, 0.98))
            axes[k].imshow(image, cmap="gray", vmin=low, vmax=high)
            axes[k].set_title(title)
        component = int(np.abs(case.flow[1]).mean() > np.abs(case.flow[0]).mean())
        name = "dy" if component else "dx"
        extent = (found.cols[0], found.cols[-1], found.rows[-1], found.rows[0])
        field = found.dy if component else found.dx
        for k, (values, title) in enumerate(
            ((case.flow[component], f"true {name}"), (field, f"found {name}")), start=2
        ):
            drawn = axes[k].imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=extent)
            axes[k].set_title(title)
        figure.colorbar(drawn, ax=axes[2:4], label="px", extend="both", shrink=0.9, pad=0.01)
        rows_at, cols_at = (np.rint(p).astype(int) for p in (found.rows, found.cols))
        at = np.ix_(rows_at, cols_at)
        error = np.hypot(found.dx - case.flow[0][at], found.dy - case.flow[1][at])
        top = max(0.2, limit)
        drawn = axes[4].imshow(error, cmap="magma", vmin=0, vmax=top, extent=extent)
        figure.colorbar(drawn, ax=axes[4], label="px", extend="max", shrink=0.9, pad=0.02)
        axes[4].set_title(f"error, mean {worst.error:.2f} px")
        axes[0].set_ylabel(case.label, fontsize=8)
        for panel in axes:
            panel.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=70)
    # Pages are kept with the code: 256 colours are a quarter of the bytes.
    Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)
