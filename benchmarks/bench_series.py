"""Misregistration of 53 real dates from a network of their pairs.

    python benchmarks/bench_series.py [--model MODEL] [--span 4]

Every date of ``stack/sentinel2_romania.nc`` (``XSUBPIX_DATA``; band B8) is correlated with
the `span` dates after it, in one lazy call. The median of each pair's field is inverted for
the misregistration of each date, and so is every pixel. Printed: the pairs that were good
enough, the root mean square closure, and the misregistration found, beside scikit-image's
shift of the whole images for the same network.
"""

from __future__ import annotations

import argparse

import numpy as np
import xarray as xr
from common import DATA
from skimage.registration import phase_cross_correlation

import xsubpix
from xsubpix.displacement.series import series

# Pairs whose fields agree less are not used.
LEAST_QUALITY = 0.5


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="cosi-corr")
    parser.add_argument("--span", type=int, default=4)
    options = parser.parse_args()
    bands = xr.open_dataset(DATA / "stack" / "sentinel2_romania.nc")
    images = bands["B8"].drop_vars("spatial_ref", errors="ignore").astype("float32")
    images = images.assign_coords(y=10.0 * np.arange(100)[::-1], x=10.0 * np.arange(100))
    count = images.sizes["time"]
    pairs = [(i, j) for i in range(count) for j in range(i + 1, min(i + 1 + options.span, count))]
    pre, post = (images.isel(time=[p[k] for p in pairs]).chunk({"time": 1}) for k in (0, 1))
    window = {"window": 32, "step": 8} if options.model in ("cosi-corr", "phase") else {"step": 4}
    disp = xsubpix.correlate(pre, post, model=options.model, **window).compute()
    inner = disp.isel({d: slice(16 // window["step"], -(16 // window["step"])) for d in ("y", "x")})
    sure = inner.where(inner.quality >= LEAST_QUALITY)
    enough = sure.east.notnull().mean(("y", "x")) >= 0.25
    shift = sure[["east", "north"]].median(("y", "x")).where(enough) / 10
    dates = series(shift)
    print(f"{options.model}: {int(enough.sum())} of {len(pairs)} pairs good enough")
    report("median of the fields", dates)
    whole = shift.copy(deep=True)
    for k in range(len(pairs)):
        found = -phase_cross_correlation(
            pre[k].values, post[k].values, normalization=None, upsample_factor=100
        )[0]
        whole.east[k], whole.north[k] = found[1], -found[0]
    report("scikit-image, whole images", series(whole.where(enough)))
    each = series((sure.where(enough) / 10).drop_vars("flags"))
    print(f"every place: median closure {float(each.closure.median()):.3f} px, "
          f"{100 * float((each.closure < 0.1).mean()):.0f} % below 0.1 px")  # fmt: skip


def report(label: str, dates: xr.Dataset) -> None:
    """Print closure and misregistration."""
    tied = int(dates.east.notnull().sum())
    moved = np.hypot(dates.east, dates.north)
    steps = abs(dates.diff("time")).median("time")
    print(
        f"{label}: closure {float(dates.closure):.3f} px, {tied} of {dates.sizes['time']} dates "
        f"tied, largest misregistration {float(moved.max()):.2f} px, median absolute between "
        f"neighbours {float(steps.east):.2f} (columns), {float(steps.north):.2f} (rows) px"
    )


if __name__ == "__main__":
    main()
