"""
How sure is a field?
====================

What ``sigma``, ``quality`` and ``flags`` say, whether it is true, and how to check it on
your own images, where the truth is unknown. Then what remains of it in the offset across a
fault.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import erf

import xsubpix
from xsubpix.plot import method_style
from xsubpix.tutorial import example_earthquake, procedural_scene, two_dates

UNSURE = ("low_texture", "not_converged", "out_of_range", "ambiguous")
MODELS = {"unet": {"step": 4}, "phase": {"model": "phase", "window": 32, "step": 4}}


def scores(disp, truth, where=True):
    """Errors of both components over their sigma, away from the border."""
    kept = disp.subpix.mask(flags=UNSURE).where(where)[{"y": slice(8, -8), "x": slice(8, -8)}]
    values = np.stack([(kept[name] - truth[name]) / kept.sigma for name in ("east", "north")])
    return abs(values[np.isfinite(values)])


# %%
# On a known earthquake
# ---------------------
# An error over its ``sigma`` should scatter like a unit normal variable: 68 % within one,
# 95 % within 1.96.

pre = procedural_scene((384, 384))
post, truth = example_earthquake(pre)
fault = xsubpix.Fault.from_json(truth.attrs["fault"])
fields = {name: pre.subpix.correlate(post, **options) for name, options in MODELS.items()}

levels = np.linspace(0.05, 4, 60)
fig, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
for name, disp in fields.items():
    colour = method_style(name)["color"]
    true = truth.interp(x=disp.x, y=disp.y)
    far = abs(disp.subpix.rotate(fault).distance) > 160
    for label, style, where in (("far from", "-", far), ("within 160 m of", ":", ~far)):
        z = scores(disp, true, where)
        left.plot(erf(levels / 2**0.5), [(z <= a).mean() for a in levels], style, color=colour,
                  label=f"{name}, {label} the trace")  # fmt: skip
        print(f"{name}, {label} the trace: {(z <= 1).mean():.0%} and {(z <= 1.96).mean():.0%}")

    kept = disp.subpix.mask(flags=UNSURE)
    sigma = kept.sigma.values.ravel()
    error = (kept.east - true.east).values.ravel()
    tenths = np.nanquantile(sigma, np.linspace(0, 1, 11))
    inside = [(sigma >= a) & (sigma <= b) for a, b in itertools.pairwise(tenths)]
    stated = [np.nanmedian(sigma[i]) for i in inside]
    right.plot(stated, [np.nanquantile(abs(error[i]), 0.683) for i in inside], "o-", color=colour)
left.axline((0, 0), slope=1, color="0.6", zorder=0)
left.set(xlabel="share of errors that should lie within", ylabel="share that does")
left.legend(fontsize="small")
right.axline((0, 0), slope=1, color="0.6", zorder=0)
right.set(xlabel="stated sigma (m)", ylabel="error that 68 % stay below (m)", xlim=0, ylim=0)

# %%
# Left: above the grey line ``sigma`` is cautious, below it too small. Right: each point is a
# tenth of the values, in the order of ``sigma``, which separates good values from bad ones. It
# covers noise and lack of texture. It does not know that a window lies across a fault: near the
# trace it is too small, more so for windows than for the network. :doc:`/benchmarks/networks` has
# figures for real pairs.
#
# On ground that did not move
# ---------------------------
# On your own images, stable ground is the test: whatever is measured there is error.
# Subtract a trend, which is not noise, and compare the scatter with ``sigma``. If they
# differ, multiply ``sigma`` by the factor between them.

first, second = two_dates(384)
fig, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained", sharey=True)
for ax, (name, options) in zip(axes, MODELS.items(), strict=True):
    still = first.subpix.correlate(second, **options).subpix.detrend()
    z = scores(still, {"east": 0.0, "north": 0.0})
    factor = np.quantile(z, 0.683)
    ax.hist(z, np.linspace(0, 6, 61), density=True, color="0.75", label="as stated")
    ax.hist(z / factor, np.linspace(0, 6, 61), density=True, histtype="step", lw=1.8,
            color="#D55E00", label=f"sigma times {factor:.2f}")  # fmt: skip
    ax.plot(levels, np.sqrt(2 / np.pi) * np.exp(-(levels**2) / 2), "k", lw=1, label="normal")
    ax.set(title=f"{name}, two dates of stable ground", xlabel="error over sigma")
    ax.legend()

# %%
# Two dates differ by more than noise: fields are ploughed, leaves come and go. The errors
# have longer tails than a normal variable, and errors of neighbours are correlated. Never divide
# ``sigma`` by the root of the number of pixels.
#
# Masks
# -----
# Flags, quality and neighbours, one after the other: each removes outliers, and records in
# the attributes what it did.

disp = fields["phase"]
true = truth.interp(x=disp.x, y=disp.y)
steps = {
    "all": disp,
    "flags": disp.subpix.mask(flags=UNSURE),
    "and quality": disp.subpix.mask(flags=UNSURE, quality=0.6),
    "and neighbours": disp.subpix.mask(flags=UNSURE, quality=0.6).subpix.filter_outliers(),
}
for name, field in steps.items():
    error = field.subpix.epe(true)
    kept, mean, most = error.notnull().mean(), error.mean(), error.quantile(0.99)
    print(f"{name:<15} {kept:4.0%} kept, mean error {mean:.2f} m, 99 % below {most:.2f} m")
print(steps["and quality"].attrs["mask"].replace("; ", "\n"))

# %%
# What reaches the offset
# -----------------------
# :func:`xsubpix.offsets` does not use ``sigma``: the residuals of its fits show how large
# the errors are and over what length they are correlated. Its intervals were tested on many
# faults of known slip (``benchmarks/bench_products.py``). Here is one.

options = {"spacing": 400.0, "half_length": 1500.0}
known = truth.subpix.offsets(fault, **options)
for name, disp in fields.items():
    found = disp.subpix.mask(flags=UNSURE).subpix.filter_outliers().subpix.offsets(fault, **options)
    inside = (found.parallel_low <= known.parallel) & (known.parallel <= found.parallel_high)
    count = int((found.parallel.notnull() & known.parallel.notnull()).sum())
    mean, right = found.parallel.mean(), known.parallel.mean()
    print(f"{name}: {int(inside.sum())} of {count} hold it; mean {mean:.1f} m of {right:.1f}")
found.subpix.plot(truth=known, title="phase", figure=plt.figure())

# %%
# An interval contains only what the residuals show. If a network draws a step too small, it
# does so on both sides and leaves no residual: compare with a window correlator before
# you publish.
