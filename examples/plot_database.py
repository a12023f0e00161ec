"""
A database of earthquakes
=========================

Networks learn to measure displacement from pairs whose displacement is known.
Here is a database of such pairs, small enough to be built in seconds: faults
drawn from observed scaling laws, put on images, each displacement field
at four sizes. From a shell, on your own files::

    xsubpix database build scenes/*.tif --test 'valley*' --validation 'coast*' \\
        --out db.zarr --faults 10000,2000,2000
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from xsubpix.database import (
    Settings,
    build_database,
    database_table,
    open_database,
    read_fault,
    scenes_from_names,
)
from xsubpix.tutorial import procedural_scene

# %%
# Build it
# --------
# Scenes are files: one band, several, a panchromatic image with its bands, or two
# real dates. Each belongs to a split; scenes of two splits may not overlap. The
# three here are procedural, 100 km apart. Building is resumable, and the same seed
# gives the same bytes on any number of workers.

folder = Path(tempfile.mkdtemp())
for seed, name in enumerate(("plain", "coast", "valley")):
    scene = procedural_scene((400, 400), seed=seed, pixel_size=15.0)
    scene = scene.assign_coords(y=scene.y - 1e5 * seed).drop_vars("spatial_ref")
    scene = scene.rio.write_crs("EPSG:32618").round().astype(np.uint16)
    scene.rio.to_raster(folder / f"{name}.tif")

scenes = scenes_from_names(
    [str(path) for path in sorted(folder.glob("*.tif"))], source="procedural", licence="BSD-3"
)
settings = Settings(faults=(8, 1, 1), frame=256, crop=128)
build_database(
    scenes, folder / "db.zarr", settings, split={"validation": ["coast"], "test": ["valley"]},
    scheduler="threads",
)  # fmt: skip

# %%
# Open it
# -------
# Lazily: nothing is read before it is asked for. A sample is one of nine crops of
# a frame, or, with ``crops=False``, a whole frame.

train = open_database(folder / "db.zarr", "train", crops=False)
train

# %%
# Look at samples
# ---------------
# Each row is a frame: before, after at the largest factor, and the displacement.
# The second date is another season, other air and another instrument. Where lines of its
# detectors lie off a little, they show as stripes: they are in the image, and so in what is to
# be measured (:func:`xsubpix.database.read_displacement`).

frames = [0, 1, 2]
fig, axes = plt.subplots(len(frames), 4, figsize=(10, 7.4), layout="constrained")
for row, k in zip(axes, frames, strict=True):
    one = train.isel(sample=k, scaling=3).load()
    for ax, name in zip(row[:2], ("pre", "post"), strict=True):
        low, high = np.nanquantile(one[name], [0.01, 0.99])
        ax.imshow(one[name], cmap="gray", vmin=low, vmax=high)
    for ax, name in zip(row[2:], ("dx", "dy"), strict=True):
        shown = ax.imshow(one[name], cmap="RdBu_r", vmin=-1.5, vmax=1.5)
    row[0].set_ylabel(f"frame {k}")
for ax, title in zip(axes[0], ("pre", "post", "dx (right)", "dy (down)"), strict=True):
    ax.set_title(title)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
fig.colorbar(shown, ax=axes[:, 2:], label="pixels", shrink=0.6)

# %%
# Cross the trace
# ---------------
# Displacement along a line at a right angle to the fault, at the four factors: the
# jump falls between two pixels. Its size is that of the factor; its shape is the
# fault's, with a step of its own where a group of detectors begins.

table = database_table(folder / "db.zarr", "train")
broken = int(np.argmax(table["trace"].sum("crop").values))
fault = read_fault(folder / "db.zarr", "train", broken)
pixel, size = float(table["pixel_size"][broken]), 256
trace = np.concatenate(fault.traces) / pixel
centre = trace[np.argmin(np.abs(trace - size / 2).max(axis=1))]
strike = np.deg2rad(fault.strike)
along, across = (
    np.array([np.sin(strike), np.cos(strike)]),
    np.array([np.cos(strike), -np.sin(strike)]),
)
distance = np.arange(-60, 61)
x, y = centre[0] + distance * across[0] - 0.5, size - (centre[1] + distance * across[1]) - 0.5
columns, rows = (np.clip(v.round().astype(int), 0, size - 1) for v in (x, y))

SHADES = plt.colormaps["viridis"]([0.0, 0.3, 0.6, 0.88])  # one a factor, in all figures
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
frame = train.isel(sample=broken).load()
for k, factor in enumerate(frame.factor.values):
    parallel = frame.dx[k].values * along[0] - frame.dy[k].values * along[1]
    ax.plot(distance, parallel[rows, columns], color=SHADES[k], label=f"{factor:g}")
ax.set(xlabel="distance from the trace, pixels", ylabel="along strike, pixels")
ax.legend(title="factor")

# %%
# Count
# -----
# The sizes of the jumps, and the similarity of the two dates. Jumps span almost two orders
# of magnitude. The correlation is that of cells of 32 px after the motion is undone.

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
jump = table["largest_step"].where(table["trace"] == 1).values
jump = jump[np.isfinite(jump)]
for k, factor in enumerate(table["factor"].values):
    outline = {"histtype": "step", "lw": 1.8, "color": SHADES[k]}
    left.hist(jump * factor, bins=np.geomspace(0.005, 5, 25), label=f"{factor:g}", **outline)
    right.hist(
        table["correlation"].values[..., k].ravel(), bins=np.linspace(0, 1, 25), **outline
    )  # fmt: skip
left.set(xscale="log", xlabel="largest jump in a crop, pixels", ylabel="crops")
left.legend(title="factor")
right.set(xlabel="correlation of pre and post")

# %%
# Where it comes from
# -------------------
# The datasheet in the store gives the sources, and the distributions in numbers.

print((folder / "db.zarr" / "README.md").read_text()[:2400])
