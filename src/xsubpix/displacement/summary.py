"""A displacement field in a few lines, for a notebook or a log."""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Hashable

import numpy as np
import xarray as xr

from ..field_stack import field_stack_dim, fields_of, labels_of
from ..kernels.robust import nmad
from .field import Field
from .flagged import left_out, sure_field, without_unsure

__all__ = ["Summary", "summary"]

_CLEANED = ("outlier_filter", "mask", "detrend", "destripe", "denoise")


@dataclasses.dataclass(frozen=True)
class Summary:
    """Contents of a field in numbers; prints as text, and as tables in a notebook.

    Attributes
    ----------
    facts : dict of str
        Model, grid, times and what has been done to the field.
    statistics : dict of dict
        For each component, by name (of stacks with the field's label behind it):
        ``valid`` (share), ``median``, ``nmad`` (robust standard deviation), ``p2``, ``p98``
        (2nd and 98th percentile) and ``sigma`` (median of the stated one; NaN without);
        empty for a lazy field.
    flags : dict of float
        Share of values that carry each flag; empty for a lazy field.
    """

    facts: dict[str, str]
    statistics: dict[str, dict[str, float]]
    flags: dict[str, float]

    def __repr__(self) -> str:
        width = max(map(len, self.facts), default=0)
        lines = ["Displacement field"]
        lines += [f"  {name:<{width}}  {text}" for name, text in self.facts.items()]
        if self.statistics:
            columns = list(next(iter(self.statistics.values())))
            wide = max(8, *(len(name) + 1 for name in self.statistics))
            lines.append("  " + " " * wide + "".join(f"{c:>10}" for c in columns))
            for name, row in self.statistics.items():
                lines.append(
                    f"  {name:<{wide}}" + "".join(f"{_text(c, row[c]):>10}" for c in columns)
                )
        if self.flags:
            shares = ", ".join(f"{name} {share:.1%}" for name, share in self.flags.items())
            lines.append(f"  flags: {shares}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        def table(rows: list[list[str]], head: list[str] | None = None) -> str:
            cells = "".join(
                "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>"
                for row in rows
            )
            top = "".join(f"<th>{html.escape(c)}</th>" for c in head or [])
            return f"<table>{f'<tr>{top}</tr>' if top else ''}{cells}</table>"

        parts = ["<b>Displacement field</b>", table([[k, v] for k, v in self.facts.items()])]
        if self.statistics:
            columns = list(next(iter(self.statistics.values())))
            rows = [[n, *(_text(c, r[c]) for c in columns)] for n, r in self.statistics.items()]
            parts.append(table(rows, ["", *columns]))
        if self.flags:
            parts.append(table([[k, f"{v:.1%}"] for k, v in self.flags.items()], ["flag", "share"]))
        return "<div>" + "".join(parts) + "</div>"


def _text(column: str, value: float) -> str:
    if not np.isfinite(value):
        return "-"
    return f"{value:.1%}" if column == "valid" else f"{value:.4g}"


def summary(disp: xr.Dataset, *, keep_unsure: bool = False) -> Summary:
    """Summarise a displacement field.

    Parameters
    ----------
    disp : xarray.Dataset
        ``east`` and ``north``; more if present. A lazy field is described, not computed.
        Stacks along ``pair`` or ``time`` have rows for each of their fields.
    keep_unsure : bool
        Count values flagged as unsure, see :func:`xsubpix.mask`, in
        the statistics too; by default they are left out, and the facts say how many.

    Returns
    -------
    Summary
        With ``facts``, ``statistics`` and ``flags``; prints itself.

    Raises
    ------
    DataError, DimensionError, GridError
        `disp` is not a displacement field.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xsubpix
    >>> pixel = {"y": -30.0 * np.arange(40), "x": 30.0 * np.arange(60)}
    >>> moved = (("y", "x"), np.full((40, 60), 1.5))
    >>> disp = xr.Dataset({"east": moved, "north": moved}, pixel)
    >>> xsubpix.summary(disp).statistics["east"]["median"]
    1.5
    """
    dim = field_stack_dim(disp)
    if dim is not None:
        return _of_stack(disp, dim, keep_unsure)
    field = Field.of(disp)
    rows, cols = field.grid.shape
    crs = field.grid.crs
    crs_name = "no CRS" if crs is None else ":".join(crs.to_authority() or (crs.name,))
    facts = {"grid": f"{rows} x {cols} pixels of {field.plane.pixel:.6g} {field.unit}, {crs_name}"}
    for name in ("model", "model_parameters"):
        if name in disp.attrs:
            # Of a digest as much as tells files apart.
            short = re.sub(r"(digest=\w{12})\w+", r"\1", str(disp.attrs[name]))
            facts[name.replace("_", " ")] = short
    for name in ("reference_time", "secondary_time"):
        if name in disp.coords:
            facts[name.replace("_", " ")] = str(disp[name].values)[:19]
    facts |= {name: str(disp.attrs[name]) for name in _CLEANED if name in disp.attrs}
    facts["unit"] = field.unit
    if field.lazy:
        facts["values"] = "lazy: disp.load() to have statistics"
        return Summary(facts, {}, {})
    field, share = sure_field(field, keep_unsure)
    facts |= {name.replace("_", " "): text for name, text in left_out(disp, share).items()}
    sigma = np.asarray(field.array("sigma"))
    known = sigma[np.isfinite(sigma)]
    stated = float(np.median(known)) if known.size else float("nan")
    statistics = {}
    for name in field.components:
        values = np.asarray(field.array(name), float)
        finite = values[np.isfinite(values)]
        low, median, high = np.percentile(finite, [2, 50, 98]) if finite.size else (np.nan,) * 3
        statistics[name] = {
            "valid": finite.size / max(values.size, 1), "median": float(median),
            "nmad": nmad(finite), "p2": float(low), "p98": float(high), "sigma": stated,
        }  # fmt: skip
    return Summary(facts, statistics, _flag_shares(field.disp))


def _of_stack(disp: xr.Dataset, dim: Hashable, keep_unsure: bool) -> Summary:
    """Summary of the fields of a stack: what they share, and rows for each."""
    labels = labels_of(disp, dim)
    parts = [summary(part, keep_unsure=keep_unsure) for part in fields_of(disp, dim)]
    facts = {"fields": f"{len(labels)} along {dim!r}, {labels[0]} ... {labels[-1]}"}
    first = parts[0].facts
    facts |= {k: v for k, v in first.items() if all(p.facts.get(k) == v for p in parts)}
    _, share = without_unsure(disp, keep_unsure, ["east"])
    facts |= {name.replace("_", " "): text for name, text in left_out(disp, share).items()}
    statistics = {
        f"{name} {label}": row
        for label, part in zip(labels, parts, strict=True)
        for name, row in part.statistics.items()
    }
    shares = {k: float(np.mean([p.flags[k] for p in parts])) for k in parts[0].flags}
    return Summary(facts, statistics, shares)


def _flag_shares(disp: xr.Dataset) -> dict[str, float]:
    if "flags" not in disp:
        return {}
    attrs = disp["flags"].attrs
    names = str(attrs.get("flag_meanings", "")).split()
    masks = np.ravel(attrs.get("flag_masks", ()))
    if len(names) != len(masks) or disp["flags"].size == 0:
        return {}
    bits = disp["flags"].values.astype(np.uint8)
    return {
        name: float(np.mean((bits & np.uint8(mask)) != 0))
        for name, mask in zip(names, masks, strict=True)
    }
