"""
Many dates: a landslide and an earthquake
=========================================

One pair has one error. Many dates, paired and inverted together, tell steady motion from a step
at a known date, and give both an error that comes from the dates themselves.
"""

# %%
# **Seven dates**, made here so that the truth is known: a slope that creeps by 8 m a year, and an
# earthquake on 6 February. Each date has ground, light and noise of its own. Yours are files, one
# date each, on one grid: :doc:`/many` shows how they become a stack.

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import xsubpix
from xsubpix.rupture import Fault
from xsubpix.second_date import SecondDate
from xsubpix.tutorial import open_scene

scene = open_scene(192)
x, y = scene.x.values, scene.y.values
event = np.datetime64("2023-02-06", "ns")
when = np.datetime64("2022-08-01", "ns") + np.arange(7) * np.timedelta64(60, "D")

trace = np.array([[x[20], y[60]], [x[185], y[30]]])
quake = scene.subpix.synthetic_rupture(
    Fault.from_trace(trace, slip=6.0, dip=88.0, rake=180.0, width=6e3)
)
# The slope: fastest in its middle, toward the south-east.
slope = np.exp(-((((x - x[120]) / 350) ** 2 + ((y[:, None] - y[125]) / 300) ** 2) ** 2))
creep = {"east": 5.7 * slope, "north": -5.7 * slope}

images = []
for number, time in enumerate(when):
    years = (time - when[0]) / np.timedelta64(1, "D") / 365.25
    moved = quake[["east", "north"]] * float(time >= event)
    moved = moved + {name: years * rate for name, rate in creep.items()}
    date = SecondDate.random(np.random.default_rng(number), correlation=(0.97, 0.97), cloudy=0.0)
    ground = scene.copy(data=date.change_surface(scene.values))
    image = ground.subpix.warp_quintic(moved)
    images.append(scene.copy(data=date.acquire(image.values)).assign_coords(time=time))
stack = xr.concat(images, "time")

# %%
# **Pairs.** Each date with the next two that fit: enough to see which pairs are wrong. With real
# images, ``season=30`` keeps to pairs of one season, and ``longest=400`` to spans in which the
# ground is still recognised.

pre, post = xsubpix.pairs(stack, redundancy=2)
disp = xsubpix.correlate(pre, post, model="phase", window=32, step=4)
print(f"{stack.sizes['time']} dates, {disp.sizes['pair']} pairs")
disp.isel(pair=slice(0, 4)).subpix.plot(figure=plt.figure())

# %%
# **A series**: for each pixel the displacement since the first date, as the best fit to all
# pairs; ``closure`` is by how much the pairs disagree. Unsure values take no part.

series = disp.subpix.mask().subpix.series()
print(f"pairs disagree by {float(series.closure.median()):.2f} m, a pixel is 10 m")
spots = {"slope": (x[120], y[125]), "north of the fault": (x[100], y[22])}
fig, ax = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
for name, (px, py) in spots.items():
    line = series.sel(x=px, y=py, method="nearest")
    days = line.time.values.astype("M8[D]")
    ax.errorbar(days, line.east.values, 2 * line.sigma.values, marker="o", ms=4, label=name)
ax.axvline(event.astype("M8[D]"), color="0.5", ls="--", lw=1, label="earthquake")
ax.set_ylabel("east since the first date (m)")
ax.legend(frameon=False, loc="upper left")

# %%
# **Velocity and step.** With the date of the event, both are fitted to each pixel at once: creep
# does not leak into the earthquake, nor the other way. ``sigma`` comes from the scatter of the
# dates about the fit.

# sphinx_gallery_thumbnail_number = 3
fit = series.subpix.velocity(step=event)
fig, axes = plt.subplots(1, 3, figsize=(11, 3.7), layout="constrained", sharey=True)
shown = {"east_velocity": ("RdBu_r", -6, 6), "east_step": ("RdBu_r", -3, 3),
         "east_step_sigma": ("viridis", 0, 1)}  # fmt: skip
for ax, (name, (cmap, low, high)) in zip(axes, shown.items(), strict=True):
    field = fit[name].assign_coords(x=(fit.x - x[0]) / 1e3, y=(fit.y - y[-1]) / 1e3)
    unit = field.attrs["units"].replace(" year-1", "/year")
    field.plot.imshow(ax=ax, cmap=cmap, vmin=low, vmax=high, cbar_kwargs={"label": unit})
    ax.set(title=name.replace("_", " "), aspect="equal", xlabel="x (km)", ylabel="y (km)")
    ax.label_outer()

true = quake.east.sel(x=fit.x, y=fit.y, method="nearest").values
away = np.abs(fit.y - y[45]) > 300  # the window of the correlator blurs the fault
print(f"step, error: {float(np.abs(fit.east_step - true).where(away).median()):.2f} m")
there = fit.sel(x=x[120], y=y[125], method="nearest")
print(f"slope: {float(there.east_velocity):.1f} +- {float(there.east_velocity_sigma):.1f} m/year, "
      f"true {creep['east'].max():.1f}")  # fmt: skip

# %%
# **Keep it.** ``series.subpix.to_cog("series.tif")`` writes a file for each date,
# ``series.subpix.to_netcdf("series.nc")`` one for all. Fields of pairs go the same ways, and
# ``plot``, ``summary``, ``mask`` and ``detrend`` take whole stacks.
