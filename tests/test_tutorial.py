"""The scenes of the tutorial: what they are, where they come from, and that ice moves on them."""

from pathlib import Path

import numpy as np

import xsubpix  # noqa: F401  (the accessor)
from xsubpix import tutorial


def test_glacier_is_a_labelled_pair():
    """Else the example's field has no metres, no dates or another grid."""
    pre, post, rock = tutorial.glacier()
    assert pre.shape == post.shape == rock.shape == (512, 512)
    assert pre.rio.crs == post.rio.crs == rock.rio.crs == "EPSG:32607"
    assert abs(pre.rio.resolution()[0]) == 15
    assert (post.time - pre.time).values == np.timedelta64(16, "D")
    assert "public domain" in pre.attrs["source"]
    assert 10_000 < int(rock.sum()) < 20_000


def test_glacier_stays_small():
    """Else every installation of the package grows."""
    folder = Path(tutorial.__file__).parent / "scenes"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1.5e6


def test_rock_stands_still_and_ice_flows():
    """Else the pair shows no motion, or its rock is no check of what is measured."""
    pre, post, rock = tutorial.glacier()
    disp = pre.subpix.correlate(post, model="phase", window=64, step=32)
    disp = disp.subpix.mask(flags=("low_texture", "not_converged", "out_of_range"))
    speed = disp.subpix.magnitude() / 16
    stable = rock.sel(x=disp.x, y=disp.y, method="nearest").values
    assert float(speed.where(stable).median()) < 0.3
    tongue = speed.sel(x=slice(466e3, 468e3), y=slice(6.678e6, 6.675e6))
    assert float(tongue.median()) > 2.0
    assert float(disp.north.sel(x=tongue.x, y=tongue.y).median()) < -20.0
    assert set(disp.coords) >= {"reference_time", "secondary_time"}
