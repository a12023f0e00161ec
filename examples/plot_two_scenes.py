"""
From two scenes to a report
===========================

Two scenes as they are downloaded: in two UTM zones, several pixels apart, with clouds as
missing data. At the end there are an aligned and measured field without its trend, offsets
along the fault, a page for colleagues and a map for QGIS.
"""

# %%
# **Two scenes.** Here they are made, so that the truth is known: an earthquake on an image,
# the second scene in the next UTM zone, 5.4 and -3.2 pixels off, with clouds. For real scenes, the
# names of the files are enough.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import xsubpix
from xsubpix.rupture import Fault
from xsubpix.tutorial import open_scene

folder = Path(tempfile.mkdtemp())
scene = open_scene(512)
x, y = scene.x.values, scene.y.values
trace = np.array([[x[40], y[330]], [x[250], y[262]], [x[470], y[170]]])
fault = Fault.from_trace(trace, slip=9.0, dip=88.0, rake=180.0, width=8e3)
truth = scene.subpix.synthetic_rupture(fault)
moved = scene.subpix.warp_quintic(truth)

# What the camera's model leaves: a shift, and another map.
rows, cols = scene.shape
shifted = moved.subpix.warp_quintic((np.full(scene.shape, 5.4), np.full(scene.shape, -3.2)))
after = shifted.rio.reproject("EPSG:32617", resolution=10.0, resampling=3, nodata=np.nan)
cloud = np.hypot(*np.meshgrid(np.arange(after.shape[1]) - 420, np.arange(after.shape[0]) - 120))
after = after.where(cloud > 35)
scene.rio.to_raster(folder / "before.tif")
after.rio.to_raster(folder / "after.tif")

# %%
# **Open, align, measure.** One grid, one resampling. The fault and what lies near it take no
# part in the alignment. ``xsubpix correlate before.tif after.tif disp.tif --align`` does the same.

pre, post = xsubpix.open_pair(
    folder / "before.tif", folder / "after.tif", align={"trace": trace, "buffer": 300.0}
)
print(
    f"shift {post.registration_x[0]:+.2f}, {post.registration_y[0]:+.2f} px from "
    f"{post.registration_places} places, NMAD {post.registration_nmad:.3f} px"
)
disp = xsubpix.correlate(pre, post, model="phase", window=32, step=4).compute()
disp.subpix.summary()

# %%
# **Take the trend away**, and not the earthquake: the motion of the fault's two sides is fitted
# together with the plane, and only the plane is subtracted.

flat = disp.subpix.detrend(trace=trace, depth=8e3)
flat.subpix.plot(trace=trace, scale_bar=True, north_arrow=True, figure=plt.figure())

# %%
# **Offsets along the fault**, with intervals, against the truth.

offsets = flat.subpix.offsets(trace, spacing=800.0, half_length=900.0)
true = truth.subpix.offsets(trace, spacing=800.0, half_length=900.0)
error = float(abs(offsets.parallel - true.parallel).median())
print(f"right-lateral offset {float(offsets.parallel.median()):.2f} m, median error {error:.2f} m")
offsets.subpix.plot(truth=true, figure=plt.figure())

# %%
# **For others**: one page that needs no internet, points, and a map that QGIS opens in colours.

flat.subpix.report(folder / "report.html", trace=trace)
offsets.subpix.to_points(folder / "offsets.geojson")
flat.subpix.to_cog(folder / "disp.tif", style=True)
for path in sorted(folder.iterdir()):
    print(f"{path.stat().st_size / 1e3:9.0f} kB  {path.name}")
