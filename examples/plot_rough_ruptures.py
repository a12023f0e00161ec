"""
Ruptures as rough as real ones
==============================

Real ruptures are not clean breaks. A third to a half of the offset lies off the
trace; strands run side by side, branch and stop. ``complexity=1`` draws such
ruptures from triangular dislocations. Far away, the ground moves as if there were
a single fault.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import xsubpix

side, pixel = 128, 25.0
at = pixel * (np.arange(side) + 0.5)
image = xr.DataArray(np.zeros((side, side), "f4"), {"y": at[::-1], "x": at}, ("y", "x"))

# %%
# Ten draws
# ---------
# In each pair of panels, the map shows the motion along the strike over 3.2 km; its title gives the
# limits of the colours. Black lines are strands that break the surface. The plot beside it shows
# the motion on the three dashed lines, in their colours, one dot a pixel. Some ruptures are clean
# steps. Others are wide shear without a step, two strands that share the offset, or cracks beside
# the trace.

fig, axes = plt.subplots(5, 4, figsize=(14, 16), layout="constrained", width_ratios=(2, 3, 2, 3))
for seed, (ax, beside) in enumerate(axes.reshape(10, 2)):
    field = xsubpix.synthetic_rupture(
        image, seed=seed, top_depth=0.0, slip=2.0, length=25e3, complexity=1.0
    )
    fault = xsubpix.Fault.from_json(field.attrs["fault"])
    azimuth = np.deg2rad(fault.strike)
    along = field.east * np.sin(azimuth) + field.north * np.cos(azimuth)
    along = along * np.sign(np.cos(np.deg2rad(fault.rake)))
    limit = float(np.ceil(20 * abs(along).quantile(0.98)) / 20)
    along.plot.imshow(ax=ax, cmap="RdBu_r", vmin=-limit, vmax=limit, add_colorbar=False)
    for line in (*fault.traces, *fault.strand_traces):
        ax.plot(*line.T, "k-", lw=0.5)
    ax.set(xlim=(0, side * pixel), ylim=(0, side * pixel), aspect="equal", xlabel="", ylabel="")
    ax.set(xticks=[], yticks=[])
    ax.set_title(f"{seed}: {len(fault.strands)} strands, \u00b1{limit:.2f} m", fontsize=11)

    right = np.array([np.cos(azimuth), -np.sin(azimuth)])
    inside = np.concatenate(fault.traces)
    inside = inside[np.all((inside > 0.1 * at[-1]) & (inside < 0.9 * at[-1]), axis=1)]
    colours = ("#0072B2", "#E69F00", "#009E73")
    for share, colour in zip((0.2, 0.5, 0.8), colours, strict=True):
        place = inside[int(share * (len(inside) - 1))]
        away = np.arange(-1400.0, 1401.0, pixel)
        x, y = (xr.DataArray(place[k] + away * right[k], dims="away") for k in (0, 1))
        seen = along.sel(x=x, y=y, method="nearest")
        known = (x > 0) & (x < side * pixel) & (y > 0) & (y < side * pixel)
        beside.plot(away, seen.where(known), ".-", ms=3, lw=0.7, color=colour)
        ax.plot(x, y, "--", lw=0.8, color=colour)
    beside.set(ylabel="along the strike (m)")
axes[-1, 1].set_xlabel("distance from the trace (m)")
axes[-1, 3].set_xlabel("distance from the trace (m)")

# %%
# What was drawn
# --------------
# The fault's description holds each strand, where it runs, which share of the slip it has and
# down to which depth; as JSON it comes back exactly.

for strand in fault.strands[:4]:
    print(
        f"{strand.kind}: {max(strand.shares):.2f} of the slip, "
        f"{round(min(strand.offsets))} to {round(max(strand.offsets))} m aside, "
        f"{strand.top:.0f} to {strand.bottom:.0f} m deep"
    )
