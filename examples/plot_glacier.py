"""
A glacier in sixteen days
=========================

Real motion on two real images: the Yahtse Glacier in Alaska, seen by Landsat-8 on 18 July and on
3 August 2016. The pair comes with the package. The result is a map of the ice's speed; the rock
beside the ice, which stands still, shows how far the map can be trusted.
"""

import matplotlib.pyplot as plt
import numpy as np

from xsubpix.plot import method_style
from xsubpix.tutorial import glacier

pre, post, rock = glacier()
days = float((post.time - pre.time) / np.timedelta64(1, "D"))


def show(ax, field, title, **style):
    """Draw a field with axes in kilometres."""
    in_km = field.assign_coords(x=field.x / 1e3, y=field.y / 1e3)
    in_km.plot.imshow(ax=ax, **style)
    ax.set(aspect="equal", xlabel="x (km)", ylabel="y (km)", title="")
    ax.set_title(title, loc="left")
    ax.ticklabel_format(useOffset=False)
    ax.label_outer()


fig, axes = plt.subplots(1, 2, figsize=(10, 4.8), layout="constrained", sharey=True)
for ax, image, title in zip(axes, (pre, post), ("a  18 July", "b  3 August"), strict=True):
    show(ax, image, title, cmap="gray", robust=True, add_colorbar=False)

# %%
# Measure
# -------
# One call, with the default network. ``flags`` mark the values that are not to be trusted: here
# the tongue of the glacier, whose front broke off between the two dates, and the water.

disp = pre.subpix.correlate(post)
good = disp.subpix.mask()
print(f"{float(good.east.notnull().mean()):.0%} of the pixels have a value that is not flagged")

# %%
# Check on rock
# -------------
# Rock does not move in 16 days. Its median displacement is the misregistration of the two images,
# and is subtracted from the whole field. What scatters around it is the error.


def spread(values):
    """Robust standard deviation."""
    return 1.4826 * abs(values - values.median()).median()


for name in ("east", "north"):
    still = good[name].where(rock)
    middle, scatter = float(still.median()), float(spread(still))
    print(f"rock, {name:<5}: median {middle:+.1f} m, scatter {scatter:.1f} m")
print(f"sigma stated there: {float(good.sigma.where(rock).median()):.1f} m (a pixel is 15 m)")
good = good.subpix.detrend(order=0, mask=rock)

# %%
# Speed and direction
# -------------------
# Displacement over time is speed. Grey was flagged; the outline is the rock of the check. Be
# careful beside a large flagged area even where no flag is set: below the tongue, at the left
# edge, speed and direction jump, since crevasses that opened between the dates have no match.

# sphinx_gallery_thumbnail_number = 2
speed = (good.subpix.magnitude() / days).assign_attrs(long_name="speed", units="m/day")
fig, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.8), layout="constrained", sharey=True)
show(left, speed, "a  speed", cmap="viridis", vmin=0, vmax=5,
     cbar_kwargs={"label": "speed (m/day)", "shrink": 0.85})  # fmt: skip
show(right, good.sigma / days, "b  uncertainty", cmap="magma", vmin=0,
     cbar_kwargs={"label": "sigma of a component (m/day)", "shrink": 0.85})  # fmt: skip
for ax in (left, right):
    ax.set_facecolor("0.85")
    ax.contour(rock.x / 1e3, rock.y / 1e3, rock, levels=[0.5], colors="white", linewidths=1)
few = good.coarsen(x=24, y=24, boundary="trim").median()
few = few.where(few.subpix.magnitude() > 8)
left.quiver(few.x / 1e3, few.y / 1e3, few.east, few.north, color="white", scale=900, width=0.004)

# %%
# Along a line across the ice
# ---------------------------
# Ice is slow at its margins and fast in the middle. The bands are two sigma. A window correlator
# beside the network is a second opinion: where both agree, trust grows.

windows = pre.subpix.correlate(post, model="cosi-corr", window=64, step=8)
windows = windows.subpix.mask()
there = {"x": windows.x, "y": windows.y}
windows = windows.subpix.detrend(
    order=0, mask=rock.sel(there, method="nearest").assign_coords(there)
)

fig, ax = plt.subplots(figsize=(9, 4), layout="constrained")
northing = 6.6772e6
for field, name in ((good, "unet"), (windows, "cosi-corr")):
    line = field[["east", "north", "sigma"]].sel(y=northing, method="nearest")
    value, error = np.hypot(line.east, line.north) / days, 2 * line.sigma / days
    style = {**method_style(name), "marker": ""}
    low, high = value - error, value + error
    ax.fill_between(line.x / 1e3, low, high, color=style["color"], alpha=0.2, lw=0)
    ax.plot(line.x / 1e3, value, label=name, **style)
ax.set(xlabel="x (km)", ylabel="speed (m/day)", ylim=(0, None))
ax.legend(frameon=False)

# %%
# Publish it
# ----------
# A GeoTIFF for QGIS, or NetCDF with the variable names of ITS_LIVE, which glaciologists' tools
# read::
#
#    disp.subpix.to_cog("yahtse.tif")
#    disp.subpix.to_netcdf("yahtse.nc", names="its-live")
#
# Where the ice moves by more than some tens of pixels, give ``search="1 km"``; see
# :doc:`plot_large_displacement`.
#
# *Images: Landsat-8, courtesy of the U.S. Geological Survey and NASA, public domain.*
