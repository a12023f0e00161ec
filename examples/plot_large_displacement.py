"""
Glaciers and landslides: large displacement
===========================================

A glacier can move by tens of pixels between two images, and a landslide does so with a
sharp edge. Most models by themselves reach only a few pixels. With the parameter
``search``, the large part is found on reduced images, the second image is moved back by
it, and any model measures the rest.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import xsubpix
from xsubpix.plot import method_style
from xsubpix.second_date import SecondDate
from xsubpix.tutorial import open_scene

pre = open_scene(384)

# %%
# A glacier
# ---------
# Ice flows south along a bend, between margins that stand still. Its middle moves by 300 m, or
# 30 px, between the two dates. The surface changes as well.

x, y = pre.x - float(pre.x.mean()), pre.y - float(pre.y.mean())
middle, bend = 500 * np.sin(y / 900), 500 / 900 * np.cos(y / 900)
speed = 300 * (1 - abs((x - middle) / 900) ** 3).clip(0) / (1 + np.exp(-(y + 900) / 250))
truth = xr.Dataset({"north": -speed / np.hypot(1, bend)})
truth["east"] = truth.north * bend
truth = truth.transpose("y", "x").astype("f4").rio.write_crs(pre.rio.crs)

second = SecondDate.random(np.random.default_rng(1), correlation=(0.85, 0.85), cloudy=0.0)
moved = pre.copy(data=second.change_surface(pre.values)).subpix.warp_quintic(truth)
post = moved.copy(data=second.acquire(moved.values))

# %%
# Without and with ``search``
# ---------------------------
# A window by itself reaches half its side, and the network up to 64 px. Larger motion is
# not always flagged. **Say how far the ground may have moved**, as a length or in pixels.
# Be generous: what exceeds ``search`` cannot be found.

UNSURE = ("low_texture", "not_converged", "out_of_range", "ambiguous")
settings = {
    "unet": {},
    "unet, search": {"search": "400 m"},
    "phase, search": {"model": "phase", "window": 32, "search": "400 m"},
    "deepflow, search": {"model": "deepflow", "search": "400 m"},
}
if "deepflow" not in xsubpix.available_models():
    del settings["deepflow, search"]
fields, lines = {}, []
for name, options in settings.items():
    disp = pre.subpix.correlate(post, step=4, **options)
    good = disp.subpix.mask(flags=UNSURE)
    fields[name] = good = good.subpix.filter_outliers()
    error = good.subpix.epe(truth)
    ice = truth.subpix.magnitude().interp(x=error.x, y=error.y) > 100
    kept = float(error.notnull().where(ice).mean())
    lines.append(
        f"{name:<17} ice {float(error.where(ice).median()):6.1f} m, rock "
        f"{float(error.where(~ice).median()):4.1f} m; of the ice {kept:4.0%} kept, "
        f"stated sigma {float(good.sigma.where(ice).median()):4.1f} m"
    )
print("median error of what was kept:\n" + "\n".join(lines))

# %%
# White: flagged, or removed as an outlier. Along the margins of the ice the ground is
# sheared by more than a pixel within a few pixels: no window moves as one there.

panels = {"truth": truth, **fields}
fig, axes = plt.subplots(2, 3, figsize=(10, 7), layout="constrained", sharex=True, sharey=True)
for ax in axes.flat[len(panels) :]:
    ax.set_axis_off()
for ax, (name, field) in zip(axes.flat, panels.items(), strict=False):
    length = field.subpix.magnitude()
    in_km = length.assign_coords(x=length.x / 1e3, y=length.y / 1e3)
    shown = in_km.plot.imshow(ax=ax, cmap="viridis", vmin=0, vmax=320, add_colorbar=False)
    ax.set(title=name, aspect="equal", xlabel="x (km)", ylabel="y (km)")
    ax.label_outer()
axes.flat[2].tick_params(labelbottom=True)  # there is no panel below it
fig.colorbar(shown, ax=axes, label="displacement (m)", shrink=0.7)

# %%
# Across the ice
# --------------

fig, ax = plt.subplots(figsize=(9, 4), layout="constrained")
row = {"y": slice(float(pre.y.mean()) + 250, float(pre.y.mean()) - 250)}
for name, field in panels.items():
    line = field.subpix.magnitude().sel(row).median("y")
    style = {**method_style(name), "marker": ""}
    if name == "unet":  # the same network without search
        style |= {"linestyle": ":", "linewidth": 1.2}
    ax.plot((line.x - float(pre.x.mean())) / 1e3, line, label=name, **style)
ax.set(xlabel="distance across the ice (km)", ylabel="displacement (m)")
ax.legend()

# %%
# Limits
# ------
# The first guess (:class:`~xsubpix.estimators.pyramid.CoarseToFine`) is the same for all models.
# At a landslide's head scarp, or at a fault whose sides differ by many pixels, it jumps where
# the images say; where they have changed, some pixels aside. Ground that changes beyond
# recognition, as calving fronts and debris do, stays unmatched whatever the search. The first
# guess also needs windows of 24 px on images reduced to half or less: a landslide smaller than
# 50 px may be missed.
#
# The cost grows with the square of the search: take the expected speed times the
# time between the dates, not the largest number. From a shell:
# ``xsubpix correlate pre.tif post.tif disp.tif --search 400m``. To compare with ITS_LIVE, write
# its names: ``disp.subpix.to_netcdf("disp.nc", names="its-live")``.
