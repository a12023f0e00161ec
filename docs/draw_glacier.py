"""Draw docs/_static/glacier.png, the first picture of README.md, with the default network.

python docs/draw_glacier.py

Run it again when the weights of the network change.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import xsubpix  # noqa: F401  (registers the accessors)
from xsubpix.tutorial import glacier

UNSURE = ("low_texture", "not_converged", "out_of_range", "ambiguous")


def main() -> None:
    """Measure the glacier and write the picture."""
    pre, post, rock = glacier()
    days = float((post.time - pre.time) / np.timedelta64(1, "D"))
    disp = pre.subpix.correlate(post).subpix.mask(flags=UNSURE).subpix.detrend(order=0, mask=rock)
    speed = disp.subpix.magnitude() / days

    km = 15e-3
    extent = (0, pre.sizes["x"] * km, pre.sizes["y"] * km, 0)
    figure = Figure(figsize=(12.6, 4.0), layout="constrained", dpi=120)
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    axes[0].imshow(pre, cmap="gray", extent=extent, **limits(pre))
    axes[0].set_title("a  18 July 2016", loc="left")
    drawn = axes[1].imshow(speed, cmap="viridis", vmin=0, vmax=5, extent=extent)
    figure.colorbar(drawn, ax=axes[1], label="m/day", extend="max", pad=0.02)
    axes[1].set_title("b  speed of the ice until 3 August", loc="left")
    drawn = axes[2].imshow(disp.sigma / days, cmap="magma", vmin=0, vmax=0.2, extent=extent)
    figure.colorbar(drawn, ax=axes[2], label="m/day", extend="max", pad=0.02)
    axes[2].set_title("c  its uncertainty (sigma)", loc="left")

    columns, rows = (km * (np.arange(pre.sizes[d]) + 0.5) for d in ("x", "y"))
    for ax in axes[1:]:
        ax.set_facecolor("0.85")
        ax.contour(columns, rows, rock, levels=[0.5], colors="white", linewidths=1)
    axes[1].text(4.2, 5.3, "rock", color="white", ha="center", fontsize=9)
    few = disp.coarsen(x=28, y=28, boundary="trim").median()
    few = few.where(few.subpix.magnitude() > 8)
    at = [28 * km * (np.arange(few.sizes[d]) + 0.5) for d in ("x", "y")]
    # Rows of the picture go down, and the arrows' angles are those of the page.
    axes[1].quiver(*at, few.east, few.north, color="white", scale=900, width=0.005, angles="uv")
    for ax in axes:
        ax.set_xlabel("km")
        ax.set_xticks(range(8))
    axes[0].set_ylabel("km")
    axes[0].set_yticks(range(8))
    figure.savefig(Path(__file__).parent / "_static" / "glacier.png")


def limits(image: np.ndarray) -> dict[str, float]:
    """Darkest and brightest value to draw."""
    low, high = np.percentile(image, [1, 99])
    return {"vmin": float(low), "vmax": float(high)}


if __name__ == "__main__":
    main()
