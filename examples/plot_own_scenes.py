"""
Train on your own scenes
========================

The network was trained on one sensor over a few landscapes. For another sensor, or for
desert, snow or forest, adapt it: find two dates of ground that did not move, put ruptures on
them, and continue from the weights of the package.
"""

# %%
# Find two dates
# --------------
# .. note:: This part needs a network connection and is not run when the page is built.
#
# A search in a public catalogue, Sentinel-2 here; ``pip install pystac-client odc-stac``.
# Take the same tile, so that the grid is the same, and the same season, so that the fields
# look alike. The ground must not have moved between the dates.
#
# .. code-block:: python
#
#    import odc.stac
#    import pystac_client
#
#    catalogue = pystac_client.Client.open("https://earth-search.aws.element84.com/v1")
#
#    def clearest(month, tile=None):
#        """The image of a month with the fewest clouds, of one tile if it is named."""
#        found = catalogue.search(
#            collections=["sentinel-2-l2a"],
#            intersects={"type": "Point", "coordinates": [38.0, 38.2]},  # longitude, latitude
#            datetime=month,
#            query={"eo:cloud_cover": {"lt": 5}},
#        )
#        items = [i for i in found.items() if tile in (None, i.properties["grid:code"])]
#        return min(items, key=lambda item: item.properties["eo:cloud_cover"])
#
#    first = clearest("2021-07")
#    second = clearest("2022-07", first.properties["grid:code"])
#    data = odc.stac.load(
#        [first, second], bands=["red"], resolution=10, chunks={"x": 2048, "y": 2048}
#    )
#    red = data.red.where(data.red > 0)  # 0 is nodata
#    pre, post = (red.isel(time=k)[2000:6000, 2000:6000].compute() for k in (0, 1))
#
# Landsat 8 and 9, panchromatic, 15 m: the collection ``landsat-c2-l1`` of
# ``https://landsatlook.usgs.gov/stac-server``, band ``pan``, whose files ask for a login;
# or ``landsat-c2-l2`` of Microsoft's Planetary Computer (30 m), signed by the package
# ``planetary-computer``: ``Client.open(url, modifier=planetary_computer.sign_inplace)``.
# :func:`xsubpix.database.pairs.find_stable_pairs` looks through a folder of scenes for
# pairs that are alike enough.

# %%
# Samples
# -------
# This page uses a small pair. Ruptures of known displacement move the second date, each at
# four sizes. A part of the scene is kept for validation.

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from xsubpix.tutorial import two_dates

pre, post = two_dates(640)
folder = Path(tempfile.mkdtemp())
samples = pre.subpix.training_samples(
    post, path=folder / "mine.zarr", faults=(8, 3), frame=160, crop=80, min_correlation=0.2
)
samples

# %%
one = samples.isel(sample=int(samples.trace.argmax("sample")), scaling=3).load()
fig, axes = plt.subplots(1, 4, figsize=(13, 3), layout="constrained")
for ax, name in zip(axes, ("pre", "post", "dx", "dy"), strict=True):
    style = {"cmap": "gray"} if name in ("pre", "post") else {"cmap": "RdBu_r", "center": 0}
    bar = {"label": "brightness" if name in ("pre", "post") else "px", "shrink": 0.8}
    one[name].plot.imshow(
        ax=ax, robust=True, yincrease=False, add_labels=False, cbar_kwargs=bar, **style
    )
    ax.set(title=name, xticks=[], yticks=[], aspect="equal")

# %%
# Adapt
# -----
# A file configures the training: two dozen steps here, thousands for real use, on a GPU or
# overnight. A low learning rate keeps what the network knows. Add the database that it was
# trained on as a second ``[[data]]`` if it should not forget other ground.

(folder / "mine.toml").write_text("""
architecture = "unet"
steps = 24
batch = 2
crop = 64
learning_rate = 1e-4
warmup = 5
average = 0.9
validate_every = 8
validation_frames = 6

[[data]]
path = "mine.zarr"
""")
command = ["train", "mine.toml", "--finetune", "unet", "--out", "adapted", "--threads", "1"]
done = subprocess.run(
    [sys.executable, "-m", "xsubpix", *command], cwd=folder, capture_output=True, text=True
)
print("xsubpix", *command)
print(done.stdout)

# %%
pd.read_csv(folder / "adapted" / "progress.csv")

# %%
# Use it
# ------
# The file of weights is a model like any other. Before you trust it, compare it with the
# original on ground and dates that neither has seen, with ``xsubpix evaluate``.

disp = pre.subpix.correlate(post, model=folder / "adapted" / "weights.safetensors", step=4)
disp.subpix.summary()
