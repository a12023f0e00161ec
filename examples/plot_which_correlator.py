"""
Which correlator when
=====================

All models on one earthquake: where each is good, where each fails, and what it costs. The
true displacement is known. Another season, other air and another instrument have changed
the look of the ground.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

import xsubpix
from xsubpix.plot import method_style
from xsubpix.tutorial import example_earthquake, open_scene

pre = open_scene(320)
post, truth = example_earthquake(pre)
fault = xsubpix.Fault.from_json(truth.attrs["fault"])

models = {
    "unet": {},
    "phase": {"window": 32},
    "cosi-corr": {"window": 32},
    "micmac": {},
    "deepflow": {},
}
models = {name: models[name] for name in models if name in xsubpix.available_models()}

# %%
# Measure, and compare
# --------------------
# Near: within 16 px of the trace, where a window of 32 px sees both sides. All values
# count here, flagged or not; the column *flagged* says what share of them came with a
# warning, and *kept* is the mean error of the rest.

UNSURE = ("low_texture", "not_converged", "out_of_range", "ambiguous")
fields = {}
print("model         mean    near  median  flagged    kept   CPU s")
for name, options in models.items():
    start = time.process_time()
    fields[name] = disp = pre.subpix.correlate(post, model=name, step=4, **options)
    seconds = time.process_time() - start
    error = disp.subpix.epe(truth)[8:-8, 8:-8]
    near = error.where(abs(disp.subpix.rotate(fault).distance) < 160)
    kept = error.where(disp.subpix.mask(flags=UNSURE).east.notnull())
    flagged = 1 - float(kept.notnull().mean())
    print(
        f"{name:<10} {float(error.mean()):5.2f} m {float(near.mean()):5.2f} m "
        f"{float(error.median()):5.2f} m {flagged:7.1%} {float(kept.mean()):5.2f} m {seconds:6.1f}"
    )

# %%
# Fault-parallel motion
# ---------------------
# Window correlators have outliers where the ground changed, most of them flagged, and blur
# the trace. Regularised methods have fewer outliers and blur less there, but smooth small features.

fields = {"truth": truth} | {name: d.subpix.mask(flags=UNSURE) for name, d in fields.items()}
fields = {name: d.subpix.rotate(fault, smoothing=1000.0) for name, d in fields.items()}
fig, axes = plt.subplots(2, 3, figsize=(11, 7), layout="constrained", sharex=True, sharey=True)
for ax, (name, field) in zip(axes.flat, fields.items(), strict=False):
    values = field.parallel
    in_km = values.assign_coords(x=values.x / 1e3, y=values.y / 1e3)
    shown = in_km.plot.imshow(ax=ax, cmap="RdBu_r", vmin=-11, vmax=11, add_colorbar=False)
    ax.set(title=name, aspect="equal", xlabel="x (km)", ylabel="y (km)")
    ax.label_outer()
for ax in axes.flat[len(fields) :]:
    ax.set_axis_off()
fig.colorbar(shown, ax=axes, label="parallel to the fault (m)", shrink=0.7, extend="both")

# %%
# Across the trace
# ----------------
# The median by distance from the trace. Within half a window a rigid window holds ground
# from both sides, and the step is smeared.

# sphinx_gallery_thumbnail_number = 2
bins = np.arange(-600, 601, 40.0)
fig, ax = plt.subplots(figsize=(9, 4), layout="constrained")
ax.axvspan(-160, 160, color="0.93", label="half a window of 32 px")
for name, field in fields.items():
    across = field.parallel.groupby_bins(field.distance, bins).median()
    style = {**method_style(name), "markersize": 4}
    ax.plot((bins[1:] + bins[:-1]) / 2, across, label=name, **style)
ax.set(xlabel="distance from the trace, to its right (m)", ylabel="parallel to it (m)")
ax.legend()

# %%
# Error against cost, on many images
# ----------------------------------
# One scene proves little. :doc:`/benchmarks/correlators` has the classical models and
# their peers of other packages on Landsat chips and real second dates,
# :doc:`/benchmarks/networks` the network on a hundred pairs that it has not seen.
#
# .. image:: /benchmarks/correlators_pareto.png
#    :alt: Mean error against CPU time, correlators of this package and of others.
#    :width: 100%
#
# So which?
# ---------
# * For a first look, a rupture, or dates that look different: ``unet``, the default.
# * For two dates that look alike (days apart, one sensor), without a trained network:
#   ``micmac``, which is sharp at faults, and the slowest.
# * Small smooth motion, nothing learned, an uncertainty that follows from the data:
#   ``phase``, or ``cosi-corr`` to compare with what was published by it. Use a larger window
#   where flags abound, and filter outliers.
# * All of them need texture. Look at ``flags`` and ``sigma``.
# * Displacements of tens of pixels: any of them, with ``search=``; see
#   :doc:`plot_large_displacement`.
# * For offsets to be published: two of them. If they disagree by more than their
#   intervals, the images do not decide.
