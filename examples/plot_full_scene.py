"""
A full scene, on a cluster
==========================

A Landsat scene has 15,000 pixels a side. It is never in memory as a whole: blocks are
read, measured and written, by one machine or by many. The code is the same; only the client
differs. This page takes a small scene and one worker, so that it runs in seconds.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import rioxarray
from distributed import Client, LocalCluster

import xsubpix
from xsubpix.tutorial import example_earthquake, open_scene

folder = Path(tempfile.mkdtemp())
pre = open_scene(512)
post, truth = example_earthquake(pre)
for name, image in (("pre", pre), ("post", post)):
    image.rio.to_raster(folder / f"{name}.tif", tiled=True, blockxsize=128, blockysize=128)

# %%
# Start it
# --------
# On one machine, threads without a cluster are as fast. This page starts a cluster of two
# threads to show how. In a script, workers run in processes of their own (``processes=True``,
# the default, under ``if __name__ == "__main__":``).

client = Client(LocalCluster(n_workers=1, threads_per_worker=2, processes=False,
                             dashboard_address=None))  # fmt: skip

# %%
# Open, measure, write
# --------------------
# Nothing is read before ``to_cog``. Then each block is written as soon as it is done. The
# values do not depend on the chunks or on the number of workers, bit for bit on the CPU.

images = [
    rioxarray.open_rasterio(folder / f"{name}.tif", chunks={"y": 256, "x": 256}).squeeze(drop=True)
    for name in ("pre", "post")
]
disp = images[0].subpix.correlate(images[1], step=4)
disp.subpix.to_cog(folder / "disp.tif")
disp

# %%
# The graph that the scheduler holds has a few tasks per block, and no pixels.

tasks, pixels = len(disp.east.__dask_graph__()), images[0].size
size = (folder / "disp.tif").stat().st_size
print(f"{tasks} tasks for {pixels / 1e6:.1f} million pixels; {size / 1e6:.1f} MB written")
alone = xsubpix.correlate(*(image.compute() for image in images), step=4)
there = disp.persist()
print("same pixels without a cluster:", there.east.compute().equals(alone.east))

# %%
# Cleaning and rotating stay lazy too: they need no more memory than measuring.

fault = xsubpix.Fault.from_json(truth.attrs["fault"])
products = there.subpix.filter_outliers().subpix.rotate(fault, smoothing=1000.0)
print(type(products.parallel.data))
products.subpix.plot(trace=fault, figure=plt.figure())
client.close()

# %%
# Elsewhere
# ---------
# On Slurm, cloud services and GPUs only the client differs: see :doc:`/clusters`. From a
# shell on one machine, without a line of Python, and resumed where it was stopped::
#
#    xsubpix correlate pre.tif post.tif disp.tif --step 4
