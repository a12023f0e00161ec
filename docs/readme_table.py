"""Write the table of README.md from the pages of the benchmarks.

python docs/readme_table.py
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
START, END = "<!-- table -->\n", "<!-- end of table -->"
METHODS = {
    "unet": "`unet`, the default", "unet-smooth": "`unet-smooth`",
    "cosi-corr:window=32": "`cosi-corr`, window 32",
    "cosi-corr:window=64": "`cosi-corr`, window 64", "openpiv": "OpenPIV", "pyxel": "pyxel",
    "deepflow": "OpenCV DeepFlow", "tvl1": "OpenCV TV-L1",
    "zero predictor": "no measurement: zero everywhere",
}  # fmt: skip


def table() -> str:
    """The table, in Markdown."""
    figures = json.loads((HERE / "benchmarks" / "networks.json").read_text(encoding="utf-8"))
    lines = [
        "Mean error in pixels on real pairs of images, years apart, with synthetic ruptures of 0.3 "
        "to 3 px added ([all figures](docs/benchmarks/networks.rst)). Every value counts, flagged "
        "or not, so that a few gross mismatches weigh heavily in the means of windows:",
        "",
        "| method | all | within 8 px of the rupture | still ground | CPU s per Mpx |",
        "| --- | --- | --- | --- | --- |",
    ]
    for key, name in METHODS.items():
        if key not in figures["scores"]:
            continue
        moved = figures["scores"][key]["real second dates"]
        still = figures["scores"][key]["nothing moved, two dates"]
        cells = [f"{moved['mean']:.3f}", f"{moved['near']:.3f}", f"{still['mean']:.3f}"]
        cells.append(f"{figures['seconds'][key]:.1f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def with_table(text: str) -> str:
    """The text of the README, its table renewed."""
    before, _, rest = text.partition(START)
    return before + START + "\n" + table() + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
