"""
Synthetic ruptures
==================

Put a fault through an image: your own, or one drawn at random from observed
distributions. Compute the displacement of the ground in an elastic half-space, and the
image after the ground has moved.
"""

import matplotlib.pyplot as plt
import numpy as np

import xsubpix
from xsubpix.rupture import displacement_at
from xsubpix.tutorial import open_scene


def show(ax, field, title, **style):
    """Draw a field with axes in kilometres."""
    in_km = field.assign_coords(x=field.x / 1e3, y=field.y / 1e3)
    in_km.plot.imshow(ax=ax, **style)
    ax.set(title=title, aspect="equal", xlabel="x (km)", ylabel="y (km)")
    ax.ticklabel_format(useOffset=False)
    ax.label_outer()


scene = open_scene(512)
centre = float(scene.x.mean()), float(scene.y.mean())

# %%
# Your own fault
# --------------
# Strike 20 degrees, vertical, 12 km long, ruptured from the surface to 8 km depth;
# rake 180 is right-lateral. All lengths are metres, places are in the image's CRS.

fault = xsubpix.Fault.straight(
    *centre, strike=20, length=12e3, width=8e3, slip=15, rake=180, heterogeneity=0.2
)
truth = scene.subpix.synthetic_rupture(fault)
print(fault)

fig, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained", sharey=True)
for ax, name in zip(axes, ("east", "north", "up"), strict=True):
    show(ax, truth[name], name, cmap="RdBu_r", center=0, cbar_kwargs={"shrink": 0.8, "label": "m"})

# %%
# The image afterwards
# --------------------
# ``warp_quintic`` moves the ground. Roads and field edges that cross the trace
# are cut and offset to the right.

post = scene.subpix.warp_quintic(truth)

strike = np.deg2rad(fault.strike)
right = np.array([np.cos(strike), -np.sin(strike)])
near = {"x": slice(centre[0] - 300, centre[0] + 300), "y": slice(centre[1] + 300, centre[1] - 300)}
fig, axes = plt.subplots(1, 2, figsize=(10, 4.8), layout="constrained", sharey=True)
for ax, image, name in zip(axes, (scene, post), ("before", "after"), strict=True):
    show(ax, image.sel(near), name, cmap="gray", robust=True, add_colorbar=False)
    ax.axline(np.array(centre) / 1e3, slope=1 / np.tan(strike), color="C1", lw=1, ls="--")

# %%
# A profile across the trace
# --------------------------
# Each pixel has the value of its side: the step lies between two pixels. The line is the
# displacement of the same fault at any point.

across = np.sort(np.append(np.arange(-195, 200, 10.0), [-0.1, 0.1]))
east, north, _ = displacement_at(
    fault, centre[0] + across * right[0], centre[1] + across * right[1]
)
row = truth.sel(y=centre[1], method="nearest")
offset = (row.x - centre[0]) * right[0] + (row.y - centre[1]) * right[1]

fig, ax = plt.subplots(figsize=(9, 4), layout="constrained")
ax.plot(across, east * np.sin(strike) + north * np.cos(strike), "k-", lw=1, label="anywhere")
ax.plot(
    offset,
    row.east * np.sin(strike) + row.north * np.cos(strike),
    "o",
    color="#0072B2",
    ms=4,
    label="pixels",
)
ax.set(xlabel="distance from the trace, to its right (m)", ylabel="motion along the strike (m)")
ax.set_xlim(-200, 200)
ax.legend()

# %%
# Faults at random
# ----------------
# Each seed gives another earthquake. Parameters that you give are kept, the others are drawn:
# :func:`xsubpix.rupture.draw_fault` describes the distributions.

# sphinx_gallery_thumbnail_number = 4
fig, axes = plt.subplots(2, 3, figsize=(14, 8.4), layout="constrained", sharex=True, sharey=True)
for seed, ax in enumerate(axes.flat):
    field = scene.subpix.synthetic_rupture(seed=seed, top_depth=0.0)
    drawn = xsubpix.Fault.from_json(field.attrs["fault"])
    size = np.hypot(field.east, field.north)
    title = f"seed {seed}: Mw {drawn.magnitude:.1f}, rake {drawn.rake:.0f}°"
    show(ax, size, title, cmap="viridis", cbar_kwargs={"shrink": 0.8, "label": "motion (m)"})
