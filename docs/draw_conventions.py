"""Draw docs/_static/conventions.svg: signs, units, and the place of a measurement.

python docs/draw_conventions.py
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

BLUE, ORANGE, GREY, GREEN = "#0b6fb8", "#d1600a", "#8a8f94", "#2b7a3d"


def main() -> None:
    """Write the drawing."""
    mpl.rcParams.update({"svg.hashsalt": "xsubpix", "font.size": 9.5, "svg.fonttype": "path"})
    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    axes = figure.subplots(1, 3)
    rows_down(axes[0])
    rows_up(axes[1])
    window(axes[2])
    path = Path(__file__).parent / "_static" / "conventions.svg"
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def arrow(ax: Axes, start: tuple, end: tuple, colour: str, **style: float) -> None:
    """An arrow between two points of the axes' coordinates."""
    ax.annotate(
        "", end, start,
        arrowprops={
            "arrowstyle": "-|>,head_width=0.28,head_length=0.55", "color": colour,
            "shrinkA": 0, "shrinkB": 0, "lw": 1.8, **style,
        },
    )  # fmt: skip


def pixels(ax: Axes, count: int, colour: str = "#c9ced2") -> None:
    """A raster of pixels, each of side 1."""
    for k in range(count + 1):
        ax.plot([0, count], [k, k], color=colour, lw=0.8, zorder=0)
        ax.plot([k, k], [0, count], color=colour, lw=0.8, zorder=0)


def panel(ax: Axes, count: int, title: str, low: float = -0.95) -> None:
    ax.set(xlim=(low, count + 0.1), ylim=(-0.45, count + 0.95), aspect="equal")
    ax.set_title(title, fontsize=10.5, fontweight="bold")
    ax.axis("off")


def motion(ax: Axes) -> None:
    """One piece of ground before and after, and its displacement east and north."""
    pre, post = np.array([1.5, 1.5]), np.array([4.1, 3.3])
    corner = (post[0], pre[1])
    arrow(ax, tuple(pre), corner, BLUE)
    arrow(ax, corner, tuple(post), ORANGE)
    arrow(ax, tuple(pre), tuple(post), "black", lw=2.4)
    ax.plot(*pre, "o", ms=8, mfc="white", mec="black", zorder=5)
    ax.plot(*post, "o", ms=8, color="black", zorder=5)
    arrow(ax, (0.25, 3.75), (1.15, 3.75), "black", lw=1.0)
    arrow(ax, (0.25, 3.75), (0.25, 4.65), "black", lw=1.0)
    ax.text(1.25, 3.75, "x", va="center", style="italic")
    ax.text(0.38, 4.6, "y", va="center", style="italic")
    ax.text(pre[0] - 0.15, pre[1] + 0.25, "in pre", ha="right")
    ax.text(post[0] - 0.1, post[1] + 0.28, "in post", ha="center")
    ax.text((pre[0] + post[0]) / 2, pre[1] - 0.16, "east > 0", color=BLUE, ha="center", va="top")
    ax.text(post[0] + 0.14, (pre[1] + post[1]) / 2, "north\n> 0", color=ORANGE, va="center")


def counting(ax: Axes, count: int, rows_up: bool) -> None:
    """Arrows in the way that columns and rows are counted."""
    row = (0.0, count) if rows_up else (count, 0.0)
    y = -0.22 if rows_up else count + 0.22
    arrow(ax, (0, y), (1.5, y), GREY, lw=1.3)
    ax.text(1.6, y, "columns", color=GREY, va="center")
    x, sign = -0.22, 1 if rows_up else -1
    arrow(ax, (x, row[0]), (x, row[0] + sign * 1.5), GREY, lw=1.3)
    ax.text(x, row[0] + sign * 1.6, "rows", color=GREY, rotation=90, ha="center",
            va="bottom" if rows_up else "top")  # fmt: skip


def rows_down(ax: Axes) -> None:
    """The usual image: the first row in the north."""
    panel(ax, 5, "rows run to the south")
    pixels(ax, 5)
    motion(ax)
    counting(ax, 5, rows_up=False)
    ax.text(2.5, -0.12, "dx = +2.6 px,  dy = −1.8 px", ha="center", va="top")


def rows_up(ax: Axes) -> None:
    """The same ground in an image whose first row is in the south."""
    panel(ax, 5, "rows run to the north")
    pixels(ax, 5)
    motion(ax)
    counting(ax, 5, rows_up=True)
    ax.text(2.5, 5.3, "dx = +2.6 px,  dy = +1.8 px", ha="center", va="center")


def window(ax: Axes) -> None:
    """Blocks of step x step pixels, and the window that one value comes from."""
    count, step, side = 24, 4, 12
    panel(ax, count, "step = 4, window = 12")
    ax.set(xlim=(-1.5, count + 1.5), ylim=(-2.2, count + 2.36))
    pixels(ax, count, "#e3e6e8")
    for k in range(0, count + 1, step):
        ax.plot([0, count], [k, k], color=GREY, lw=1.0, zorder=1)
        ax.plot([k, k], [0, count], color=GREY, lw=1.0, zorder=1)
    centres = np.arange(step / 2, count, step)
    x, y = np.meshgrid(centres, centres)
    ax.plot(x, y, ".", color=GREEN, ms=5, zorder=3)
    mid = centres[3], centres[2]
    ax.add_patch(
        Rectangle(
            (mid[0] - side / 2, mid[1] - side / 2), side, side, fc=BLUE, alpha=0.15, ec="none"
        )
    )
    ax.add_patch(
        Rectangle((mid[0] - side / 2, mid[1] - side / 2), side, side, fill=False, ec=BLUE, lw=2)
    )
    ax.plot(*mid, "o", color=GREEN, ms=7.5, zorder=4)
    ax.text(count / 2, -0.6, "one value a block, at its centre", color=GREEN, ha="center", va="top")
    ax.text(count / 2, count + 0.7, "the window that one value comes from", color=BLUE,
            ha="center", va="bottom")  # fmt: skip


if __name__ == "__main__":
    main()
