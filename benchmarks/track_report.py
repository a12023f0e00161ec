"""Times of ``track_speeds.py`` beside stored ones: ``track_report.py TIMES.json [--save]``."""

from __future__ import annotations

import datetime
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

BASELINE = Path(__file__).with_name("track_baseline.json")
# What is marked; timings of one code differ by about a tenth.
SLOWER = 1.3


def how_made() -> str:
    """Describe how the times were taken, for whoever reads the file."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "dask", "torch"))
    return (
        f"nox -s bench_track -- --save, {datetime.date.today()}, {platform.machine()}, "
        f"Python {platform.python_version()}, {packages}. Seconds of the processor, the shortest "
        "of three rounds on one thread; 'machine' is work of numpy alone, by which times of "
        "another machine, or of a busy one, are scaled."
    )


def read_times(path: Path) -> dict[str, float]:
    """Read the shortest time of each benchmark, seconds, from a file of pytest-benchmark."""
    records = json.loads(path.read_text(encoding="utf-8"))["benchmarks"]
    return {record["name"].removeprefix("test_"): record["stats"]["min"] for record in records}


def table(now: dict[str, float], before: dict[str, Any]) -> str:
    """Table of times, and of ratios after the speed of the machine is taken out."""
    machine = now["machine"] / before["machine"] if "machine" in before else 1.0
    lines = [f"{'':26}{'now, s':>9}{'stored, s':>11}{'ratio':>8}"]
    for name, seconds in now.items():
        if name == "machine":
            continue
        line = f"{name:26}{seconds:9.3f}"
        if name in before:
            ratio = seconds / (before[name] * machine)
            line += f"{before[name] * machine:11.3f}{ratio:8.2f}"
            line += "  slower" if ratio > SLOWER else ""
        lines.append(line)
    lines.append(f"Stored times are scaled by {machine:.2f}, the time of this machine over theirs.")
    return "\n".join(lines)


def main() -> None:
    """Print the table; with ``--save``, store the times."""
    paths = [argument for argument in sys.argv[1:] if argument != "--save"]
    if len(paths) != 1:
        sys.exit(__doc__)
    now = read_times(Path(paths[0]))
    before = json.loads(BASELINE.read_text(encoding="utf-8")) if BASELINE.exists() else {}
    print(table(now, before))
    if "--save" in sys.argv[1:]:
        rounded = {name: float(f"{seconds:.4g}") for name, seconds in now.items()}
        text = json.dumps({"how": how_made(), **rounded}, indent=2)
        BASELINE.write_text(text + "\n", encoding="utf-8")
        print(f"stored in {BASELINE}")


if __name__ == "__main__":
    main()
