"""
A first displacement field
==========================

Two images, a displacement field, and what the flags are for. The second image is made
from the first: a right-lateral earthquake moves the ground, and another season, other air
and another instrument change its look. So the true displacement is known.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import xsubpix
from xsubpix.plot import method_style
from xsubpix.tutorial import example_earthquake, open_scene


def show(ax, field, title, **style):
    """Draw a field with axes in kilometres."""
    in_km = field.assign_coords(x=field.x / 1e3, y=field.y / 1e3)
    in_km.plot.imshow(ax=ax, **style)
    ax.set(title=title, aspect="equal", xlabel="x (km)", ylabel="y (km)")
    ax.ticklabel_format(useOffset=False)
    ax.label_outer()


pre = open_scene(512)
post, truth = example_earthquake(pre)

fig, axes = plt.subplots(1, 2, figsize=(10, 4.8), layout="constrained", sharey=True)
for ax, image, name in zip(axes, (pre, post), ("pre", "post"), strict=True):
    show(ax, image, name, cmap="gray", robust=True, add_colorbar=False)

# %%
# Correlate
# ---------
# One line: the network of the package, a value every 2 px. The images are dask arrays
# here, as they are when opened from files with ``chunks={}``, so nothing is measured
# until it is asked for.

disp = pre.chunk().subpix.correlate(post.chunk(), step=2)
disp.load()

# %%
# Leave out what is flagged
# -------------------------
# ``flags`` mark measurements that are not to be trusted. ``edge`` alone is harmless: part
# of the window lies outside the image.

flag = dict(zip(disp.flags.flag_meanings.split(), disp.flags.flag_masks, strict=True))
unsure = flag["low_texture"] | flag["not_converged"] | flag["out_of_range"] | flag["ambiguous"]
good = disp.where((disp.flags & unsure) == 0)
share = float(good.east.notnull().mean())
error = xsubpix.epe(good, truth)
print(f"kept {share:.1%}, median end-point error {float(error.median()):.2f} m (pixels of 10 m)")

# %%
# White is what was left out.

# sphinx_gallery_thumbnail_number = 2
fig, axes = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained", sharey=True)
bar = {"shrink": 0.8, "label": "m"}
for ax, name in zip(axes, ("east", "north"), strict=False):
    show(ax, good[name], name, cmap="RdBu_r", vmin=-12, vmax=12, cbar_kwargs=bar)
show(axes[2], error, "end-point error", cmap="magma", vmin=0, vmax=5, cbar_kwargs=bar)

# %%
# A profile across the fault
# --------------------------
# Geologists want the offset along the fault. The fault is nearly straight here, so one
# strike is enough to turn east and north into motion along it. The mean of many profiles side by
# side is less noisy than one. A window correlator is drawn for comparison.

windows = pre.chunk().subpix.correlate(post.chunk(), model="phase", window=32, step=4).load()

fault = xsubpix.Fault.from_json(truth.attrs["fault"])
strike = np.deg2rad(fault.strike)
along = np.array([np.sin(strike), np.cos(strike)])
right = np.array([np.cos(strike), -np.sin(strike)])
trace = np.concatenate(fault.traces)
scene = np.array([float(pre.x.mean()), float(pre.y.mean())])
start = trace[np.hypot(*(trace - scene).T).argmin()]

across, beside = np.arange(-1500, 1501, 40.0), np.arange(-600, 601, 40.0)
swath = {"across": across, "beside": beside}
x = xr.DataArray(start[0] + np.add.outer(across * right[0], beside * along[0]), swath)
y = xr.DataArray(start[1] + np.add.outer(across * right[1], beside * along[1]), swath)

fig, ax = plt.subplots(figsize=(9, 4), layout="constrained")
ax.axvspan(-160, 160, color="0.92", label="half a window from the trace")
for field, name in (
    (truth, "truth"),
    (good, "unet"),
    (windows.where((windows.flags & unsure) == 0), "phase, windows of 320 m"),
):
    parallel = (field.east * along[0] + field.north * along[1]).interp(x=x, y=y)
    ax.plot(across, parallel.mean("beside"), label=name, **{**method_style(name), "markersize": 4})
ax.set(xlabel="distance from the trace, to its right (m)", ylabel="motion along the strike (m)")
ax.legend()

# %%
# Within half a window of the trace, a window holds ground from both sides of the fault,
# and finds the motion of one of them or something between: the step is smeared and
# displaced. Averaging over many pixels does not remove this error. A network that was
# trained on ruptures keeps the step narrow and in its place; beside it, it may
# overshoot a little.
