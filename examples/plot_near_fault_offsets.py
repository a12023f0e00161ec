"""
Offsets along a fault
=====================

From a displacement field to what a paper on an earthquake shows: the slip that
reached the ground, station by station, with its confidence interval, and how wide
the fault zone is. The earthquake is synthetic, so the truth is known.
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
# What is flagged goes, and what disagrees with its neighbours. A fault is no outlier.

good = disp.subpix.mask(flags=("low_texture", "not_converged", "out_of_range"))
good = good.subpix.filter_outliers()
good.subpix.summary()

# %%
good.subpix.plot(trace=fault, figure=plt.figure())

# %%
# Along and across the fault
# --------------------------
# Each pixel gets the strike of the nearest point of the trace, here averaged over
# 1 km of it. To the right of a right-lateral fault the ground moves backward.

good.subpix.rotate(fault, smoothing=1000.0).subpix.plot(trace=fault, figure=plt.figure())

# %%
# A profile
# ---------
# All values within 500 m of a line across the fault, stacked onto it. Their error
# bars know that neighbouring windows overlap.

x, y = float(pre.x[200]), float(pre.y[150])
line = [[x - 1300, y + 1500], [x + 1300, y - 1500]]
profile = good.subpix.profile(line, width=1000.0)
known = truth.subpix.profile(line, width=1000.0)
profile.subpix.plot(truth=known, figure=plt.figure())

# %%
# Offsets
# -------
# Every 400 m along the trace a line is fitted to the motion on either side, and the
# offset is where the two part. Half a window next to the fault, where the correlator
# blurs, is left out of the fits. The bands say how far the offset could be off, given how
# the residuals scatter and how far in space they are correlated.

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
# The fault zone looks some 90 m wide: that is the correlation window, since this fault
# is a line. Only what is wider than a window is ground.
#
# For a GIS: ``offsets.subpix.to_points("offsets.gpkg")``.
#
# Without a mapped trace
# ----------------------
# The ridge of the gradient proposes one. Look at it before you measure along it.

trace = good.subpix.detect_trace()
good.subpix.denoise().subpix.plot(trace=trace, title="denoised", figure=plt.figure())
