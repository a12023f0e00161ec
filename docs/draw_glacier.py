"""Draw docs/_static/glacier.png, the first picture of README.md, with the default network.

python docs/draw_glacier.py

Run it again when the weights of the network change.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import xsubpix  # noqa: F401  (registers the accessors)
from xsubpix.tutorial import glacier

# Size of letters, points; distance of arrows, pixels.
TEXT, SPACING = 21, 36
UNSURE = ("low_texture", "not_converged", "out_of_range", "ambiguous")


def main() -> None:
    """Measure the glacier and write the picture."""
    pre, post, rock = glacier()
    days = float((post.time - pre.time) / np.timedelta64(1, "D"))
    disp = pre.subpix.correlate(post).subpix.mask(flags=UNSURE).subpix.detrend(order=0, mask=rock)
    speed = disp.subpix.magnitude() / days

    # Letters are large, to be read on a phone too.
    km, rows, columns = 15e-3, pre.sizes["y"], pre.sizes["x"]
    extent = (0, columns * km, rows * km, 0)
    figure = Figure(figsize=(12.6, 5.5), dpi=120)
    axes, bars = figure.subplots(
        2, 3, height_ratios=(16, 1),
        gridspec_kw={"left": 0.01, "right": 0.985, "top": 0.93, "bottom": 0.16, "wspace": 0.06,
                     "hspace": 0.04},
    )  # fmt: skip
    axes[0].imshow(pre, cmap="gray", extent=extent, **limits(pre))
    speeds = axes[1].imshow(speed, cmap="viridis", vmin=0, vmax=5, extent=extent)
    sigmas = axes[2].imshow(disp.sigma / days, cmap="magma", vmin=0, vmax=0.2, extent=extent)
    for ax, title in zip(axes, ("18 July 2016", "speed", "uncertainty"), strict=True):
        ax.set_title(title, fontsize=TEXT)
        ax.set(xticks=[], yticks=[], facecolor="0.85")
    bars[0].set_axis_off()
    for bar, drawn, ticks in ((bars[1], speeds, (0, 2, 4)), (bars[2], sigmas, (0, 0.1, 0.2))):
        figure.colorbar(drawn, cax=bar, orientation="horizontal", extend="max", ticks=ticks)
        bar.tick_params(labelsize=TEXT)
        bar.set_xlabel("m/day", fontsize=TEXT)

    y, x = (km * (np.arange(pre.sizes[d]) + 0.5) for d in ("y", "x"))
    for ax in axes[1:]:
        ax.contour(x, y, rock, levels=[0.5], colors="white", linewidths=2)
    axes[1].text(5.2, 4.2, "rock", color="white", ha="left", fontsize=TEXT)
    few = disp.coarsen(x=SPACING, y=SPACING, boundary="trim")
    few = few.median().where(few.count() > SPACING**2 / 2)
    few = few.where(few.subpix.magnitude() > 8)
    at = [SPACING * km * (np.arange(few.sizes[d]) + 0.5) for d in ("x", "y")]
    # Rows of the picture go down, and the arrows' angles are those of the page.
    axes[1].quiver(*at, few.east, few.north, color="white", scale=700, width=0.008, angles="uv")
    axes[0].plot((0.5, 2.5), (7.0, 7.0), color="white", linewidth=5, solid_capstyle="butt")
    axes[0].text(1.5, 6.8, "2 km", color="white", ha="center", va="bottom", fontsize=TEXT)
    figure.savefig(Path(__file__).parent / "_static" / "glacier.png")


def limits(image: np.ndarray) -> dict[str, float]:
    """Darkest and brightest value to draw."""
    low, high = np.percentile(image, [1, 99])
    return {"vmin": float(low), "vmax": float(high)}


if __name__ == "__main__":
    main()
