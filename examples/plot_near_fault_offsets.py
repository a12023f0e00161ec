"""
Offsets along a fault
=====================

From a displacement field to what a paper on an earthquake shows: the slip that
reached the surface, station by station, with its confidence interval, and the width of
the fault zone. The earthquake is synthetic, so the truth is known.
"""

import matplotlib.pyplot as plt

import xsubpix
from xsubpix.tutorial import example_earthquake, procedural_scene

pre = procedural_scene((512, 512))
post, truth = example_earthquake(pre)
fault = xsubpix.Fault.from_json(truth.attrs["fault"])
disp = pre.chunk().subpix.correlate(post.chunk(), model="phase", window=32, step=4).load()

# %%
# Clean
# -----
# Flagged values are removed, and values that disagree with their neighbours. A fault is not
# an outlier.

good = disp.subpix.mask()
good = good.subpix.filter_outliers()
good.subpix.summary()

# %%
good.subpix.plot(trace=fault, figure=plt.figure())

# %%
# Along and across the fault
# --------------------------
# Each pixel gets the strike of the nearest point of the trace, here averaged over
# 1 km of it. On the right-hand side of a right-lateral fault,
# seen along its strike, the ground moves against the strike: the motion is negative.

good.subpix.rotate(fault, smoothing=1000.0).subpix.plot(trace=fault, figure=plt.figure())

# %%
# A profile
# ---------
# All values within 500 m of a line across the fault, stacked onto it. The error bars
# account for the overlap of neighbouring windows.

x, y = float(pre.x[200]), float(pre.y[150])
line = [[x - 1300, y + 1500], [x + 1300, y - 1500]]
profile = good.subpix.profile(line, width=1000.0)
known = truth.subpix.profile(line, width=1000.0)
profile.subpix.plot(truth=known, figure=plt.figure())

# %%
# Offsets
# -------
# Every 400 m along the trace, a line is fitted to the motion on either side. The offset is
# the distance between the two lines at the trace. Half a window next to the fault, where the
# correlator blurs, is left out. The bands are confidence intervals, from the scatter of the
# residuals and the length over which they are correlated.

# sphinx_gallery_thumbnail_number = 4
options = {"spacing": 400.0, "half_length": 1600.0}
offsets = good.subpix.offsets(fault, **options)
known = truth.subpix.offsets(fault, **options)
offsets.subpix.plot(truth=known, figure=plt.figure())

# %%
inside = (offsets.parallel_low <= known.parallel) & (known.parallel <= offsets.parallel_high)
measured = offsets.parallel.notnull()
ratio = float(offsets.parallel.mean() / known.parallel.where(measured).mean())
print(f"offset {ratio:.3f} of the true one; {int(inside.sum())} of {int(measured.sum())} inside")

# %%
# This fault is a line. The width of the fault zone that the figure shows is that of the blur
# of the correlation window (320 m, tapered). Only a zone that is wider than that is real.
#
# For a GIS: ``offsets.subpix.to_points("offsets.gpkg")``.
#
# Without a mapped trace
# ----------------------
# The ridge of the displacement's gradient proposes a trace. Check it before you measure along it.

trace = good.subpix.detect_trace()
good.subpix.denoise().subpix.plot(trace=trace, title="denoised", figure=plt.figure())
