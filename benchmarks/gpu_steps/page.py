"""The page of the documentation, from the results."""

from __future__ import annotations

from typing import Any

__all__ = ["page"]


def page(results: dict[str, Any]) -> str:
    """Page in reStructuredText of what was measured so far."""
    lines = ["GPU", "===", "", "Written by ``python benchmarks/gpu.py``.", ""]
    if results["cuda"]:
        lines += [f"Card: **{results['card']}**, torch {results['torch']}.", ""]
    else:
        lines += [
            f"**No GPU was at hand.** What follows is the same script on a CPU (torch "
            f"{results['torch']}) with small sizes and a small network of random weights: it "
            "shows that every step runs, and says nothing about the speed or the results of a GPU. "
            "Without CUDA, results are compared with those of the same device; only the rows of "
            "bfloat16 and of running out of memory compare different things. Compilers only "
            "capture the graph.",
            "",
        ]
    for step in results["steps"]:
        lines += [step["title"], "-" * len(step["title"]), ""]
        lines += [f"{step['state']}: {step['seconds']:.0f} s of {step['budget']:.0f} s.", ""]
        if step["message"]:
            lines += [f"``{step['message'].replace('`', chr(39))}``", ""]
        if step["rows"]:
            lines += [".. list-table::", "   :header-rows: 1", ""]
            for cells in [("what", "value", "wanted", "met"), *map(_cells, step["rows"])]:
                lines += [f"   {'*' if k == 0 else ' '} - {c}" for k, c in enumerate(cells)]
            lines.append("")
    return "\n".join(line.rstrip() for line in lines)


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str]:
    value = row["value"]
    text = value if isinstance(value, str) else f"{value:.3g}"
    met = {True: "yes", False: "**no**", None: ""}[row["ok"]]
    return row["what"], f"{text} {row['unit']}".strip(), row["goal"], met
