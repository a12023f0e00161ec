"""The datasheet of a database: what is in it, where it comes from, how it is distributed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .layout import QUANTUM, SPLITS
from .reader import read_table
from .store import stored_bytes

__all__ = ["describe", "write_datasheet"]

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_BAR = 40


def write_datasheet(path: Path, plan: dict[str, Any]) -> None:
    """Write ``README.md`` into a store whose tables are there.

    It follows the questions of Gebru et al. (2021), Datasheets for datasets,
    Communications of the ACM 64(12), 86-92, as far as they apply to images of
    the ground. Nothing in it depends on when or where it was written.
    """
    lines = [*_contents(plan), *_method(plan["settings"]), *_sources(plan["scenes"])]
    lines += ["", "## Distributions", ""]
    faults = plan["settings"]["faults"]
    for split, count in zip(SPLITS, faults, strict=True):
        if count:
            lines += [f"### {split}", "", "```", *describe(read_table(path, split)), "```", ""]
    size = stored_bytes(path)
    frames = sum(faults)
    lines += [
        "## Size",
        f"{sum(size.values()) / 2**20:.1f} MiB, {sum(size.values()) / frames / 2**20:.3f} MiB a "
        "frame: " + ", ".join(f"{name} {n / 2**20:.1f}" for name, n in size.items()) + " MiB.",
        "",
        "## Limits",
        "Ground displacement is that of a homogeneous half-space: no "
        + ("" if plan["settings"].get("complexity", 0.0) else "off-fault cracks, ")
        + "landslides or vertical parallax. Simulated second dates are calibrated on few real "
        "places. Pixels whose ground came from outside of the scene are missing.",
        "",
    ]
    (path / "README.md").write_text("\n".join(lines))


def _contents(plan: dict[str, Any]) -> list[str]:
    """Lines on the purpose and the contents of a database."""
    settings = plan["settings"]
    factors = ", ".join(f"{f:g}" for f in settings["scalings"])
    lines = [
        "# A database of synthetic ruptures on satellite images",
        "",
        f"Made by `xsubpix database build`, version {plan['version']}, "
        f"store version {plan['store_version']}, seed {settings['seed']}.",
        "",
        "## What it is for",
        "Training and testing methods that measure the displacement of the ground between two "
        "optical images, next to a rupture above all. The displacement of each sample is known.",
        "",
        "## What is in it",
        f"Frames of {settings['frame']} x {settings['frame']} pixels: an image before (`pre`), "
        f"images after (`post`) at {len(settings['scalings'])} factors ({factors}) of one "
        f"displacement, nine crops of {settings['crop']} pixels each (a 3 x 3 grid).",
        "",
        "| split | scenes | faults = frames | crops | samples (crops x factors) |",
        "|---|---|---|---|---|",
    ]
    for split, count in zip(SPLITS, settings["faults"], strict=True):
        scenes = sum(scene["split"] == split for scene in plan["scenes"])
        lines.append(
            f"| {split} | {scenes} | {count} | {9 * count} | "
            f"{9 * count * len(settings['scalings'])} |"
        )
    lines += [
        "",
        "Images are 16-bit codes: 0 is missing, else `image = (code - 1) * scale + offset`, with "
        "the scales in the table. `displacement` is dx (to the right) and dy (down), where the "
        f"ground of `pre` went by `post`, at factor 1 in steps of {QUANTUM:g} pixels; at factor f "
        "the ground was moved by exactly f times that. Simulated second dates have lines of "
        "detectors out of their place, which readers add to it "
        "(`xsubpix.database.read_displacement`). `fault` holds the rupture as JSON, with the "
        "slip that was drawn, in metres to the right and up from the frame's lower left corner.",
        "",
    ]
    return lines


def _method(settings: dict[str, Any]) -> list[str]:
    """Lines on how a database was made."""
    return [
        "## How it was made",
        f"1. A fault is drawn from published scaling laws ({', '.join(settings['mechanisms'])}; "
        "`xsubpix.rupture.random_fault`), and its displacement computed from triangular "
        "dislocations in an elastic half-space (Nikkhoo & Walter 2015)"
        + (
            f"; with shear off the trace, strands and cracks, complexity {rough:g} "
            "(`xsubpix.rupture.complexity.draw_complexity`)."
            if (rough := settings.get("complexity", 0.0))
            else "."
        ),
        "2. The field is scaled so that its largest displacement in the frame is drawn "
        f"log-uniformly from {settings['amplitude'][0]:g} to {settings['amplitude'][1]:g} pixels "
        "(as drawn it was `natural_amplitude`), times the factors.",
        "3. The second date is a real one where the scene has two dates (windows of mean local "
        f"correlation above {settings['min_correlation']:g}, registered), else simulated "
        "(`xsubpix.second_date.SecondDate`), aiming at a mean local correlation of "
        f"{settings['correlation'][0]:g} to {settings['correlation'][1]:g}, {settings['dates']} "
        "second dates a frame; clouds on "
        f"{settings['cloudy']:.0%} of them.",
        "4. The ground of the second date is moved by quintic B-splines, then seen through its "
        "air and instrument, so that noise does not move with the ground. Where a rupture opens, "
        "the ground beside the crack is continued into it.",
        "",
    ]


def _sources(scenes: list[dict[str, Any]]) -> list[str]:
    """Lines on the scenes of a database: a table."""
    lines = [
        "## Where the images come from",
        "Locations never cross splits.",
        "",
        "| scene | split | location | kind | pixel (m) | source | licence | SHA-256 of its files |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for scene in scenes:
        digests = ", ".join(digest[:12] for digest in scene["sha256"])
        lines.append(
            f"| {scene['name']} | {scene['split']} | {scene['location']} | {scene['kind']} | "
            f"{scene['pixel_size']:g} | {scene['source'] or 'not stated'} | "
            f"{scene['licence'] or 'not stated'} | {digests} |"
        )
    return lines


def describe(table: xr.Dataset) -> list[str]:
    """Lines that say how a table's values are distributed.

    Parameters
    ----------
    table : xarray.Dataset
        Tables of :func:`xsubpix.database.database_table`.

    Returns
    -------
    list of str
    """
    frames = table.sizes["frame"]
    scenes = Counter(table["scene"].values.tolist())
    broken = float(table["trace"].mean())
    lines = [
        f"{frames} frames on {len(scenes)} scenes ({min(scenes.values())} to "
        f"{max(scenes.values())} frames each); the trace crosses {broken:.0%} of the crops",
        "",
        f"{'quantile':<34}" + "".join(f"{q:>9g}" for q in _QUANTILES),
    ]
    for label, values in _quantities(table):
        quantiles = np.quantile(values, _QUANTILES)
        lines.append(f"{label:<34}" + "".join(f"{q:>9.3g}" for q in quantiles))
    lines += ["", *_histogram("strike, degrees", table["strike"].values, np.arange(0, 361, 45))]
    lines += [
        "",
        *_histogram("correlation", table["correlation"].values, np.arange(0.0, 1.01, 0.1)),
    ]
    return lines


def _quantities(table: xr.Dataset) -> list[tuple[str, np.ndarray]]:
    factor = table["factor"].values
    rows = [
        ("magnitude of the fault", table["magnitude"].values),
        ("length of the fault, km", table["length"].values / 1e3),
        ("dip, degrees", table["dip"].values),
        ("depth of its top, km", table["top_depth"].values / 1e3),
        ("largest displacement as drawn, px", table["natural_amplitude"].values),
        ("largest displacement, px", table["amplitude"].values),
    ]
    step = table["largest_step"].where(table["trace"] == 1).values
    step = step[np.isfinite(step)]
    for k, f in enumerate(factor):
        if step.size:
            rows.append((f"jump at factor {f:g}, px", step * f))
        rows.append((f"correlation at factor {f:g}", table["correlation"].values[..., k].ravel()))
    return rows


def _histogram(label: str, values: np.ndarray, edges: np.ndarray) -> list[str]:
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    lines = [label]
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        bar = "#" * round(_BAR * count / max(int(counts.max()), 1))
        lines.append(f"  {low:>6.4g} to {high:>6.4g} {count:>8} {bar}")
    return lines
