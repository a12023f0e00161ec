"""Accessors do what the functions of the same names do, and nothing else."""

import inspect

import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix import DisplacementAccessor, ImageAccessor


def test_correlate(pair, identical):
    """Else the accessor drops or renames a parameter."""
    pre, post = pair
    options = {"model": "phase", "window": 16, "step": 8, "search": 3, "device": "cpu"}
    identical(pre.subpix.correlate(post, **options), xsubpix.correlate(pre, post, **options))


def test_epe_and_to_cog(pair, tmp_path):
    """Else the displacement's accessor calls something else."""
    disp = xsubpix.correlate(*pair, model="phase", window=16, step=8)
    xr.testing.assert_identical(disp.subpix.epe(disp), xsubpix.epe(disp, disp))
    disp.subpix.to_cog(tmp_path / "a.tif")
    assert (tmp_path / "a.tif").exists()
    with pytest.raises(xsubpix.FileError, match="overwrite"):
        disp.subpix.to_cog(tmp_path / "a.tif", overwrite=False)


@pytest.mark.parametrize("accessor", [ImageAccessor, DisplacementAccessor])
def test_methods_have_the_functions_signatures(accessor):
    """Else editors and readers are told two different things."""
    for name, method in inspect.getmembers(accessor, inspect.isfunction):
        if name.startswith("_"):
            continue
        function = getattr(xsubpix, name)
        own = list(inspect.signature(method).parameters.values())[1:]
        public = list(inspect.signature(function).parameters.values())[1:]
        assert [(p.name, p.kind, p.default) for p in own] == [
            (p.name, p.kind, p.default) for p in public
        ], name
        assert inspect.signature(method).return_annotation == (
            inspect.signature(function).return_annotation
        )


def test_accessors_have_no_state():
    """Else results depend on what was called before."""
    image = xr.DataArray(np.zeros((3, 3)), dims=("y", "x"))
    assert list(vars(image.subpix)) == ["_image"]
    assert list(vars(image.to_dataset(name="a").subpix)) == ["_disp"]
