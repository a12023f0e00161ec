"""Bad input: one clear error of the package, with the values and the way out."""

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix import DataError, DimensionError, GridError, ModelError, SubpixError


@pytest.fixture(scope="module")
def im():
    return xr.DataArray(np.random.default_rng(0).normal(size=(32, 32)), dims=("y", "x"))


def test_all_errors_are_value_errors():
    """Else ``except ValueError`` around a call misses them."""
    for error in (DataError, DimensionError, GridError, ModelError, xsubpix.FileError):
        assert issubclass(error, SubpixError)
    assert issubclass(SubpixError, ValueError)


# ----------------------------------------------------------------------- data


def test_not_a_dataarray(im):
    """Else an AttributeError deep inside."""
    with pytest.raises(DataError, match=r"post is a Dataset.*ds\['NAME'\]"):
        xsubpix.correlate(im, im.to_dataset(name="red"))
    for other in (im.values, None, "pre.tif", [[1, 2], [3, 4]], im.variable):
        with pytest.raises(DataError, match="DataArray is needed"):
            xsubpix.correlate(other, im)


@pytest.mark.parametrize(
    "dtype", ["complex64", "complex128", object, "datetime64[ns]", "timedelta64[ns]", "U3", "S2"]
)
@pytest.mark.parametrize("lazy", [False, True])
def test_values_that_are_no_real_numbers(im, dtype, lazy):
    """Else SAR images lose their imaginary part, dates are measured, objects crash a task."""
    values = np.zeros((32, 32), dtype)
    bad = im.copy(data=da.from_array(values, chunks=16) if lazy else values)
    with pytest.raises(DataError, match="real numbers are needed"):
        xsubpix.correlate(im, bad)


@pytest.mark.parametrize("shape", [(0, 0), (0, 8), (8, 0)])
def test_empty(shape):
    """Else an empty selection gives an empty field, or a numpy error."""
    empty = xr.DataArray(np.zeros(shape), dims=("y", "x"))
    with pytest.raises(DataError, match="empty"):
        xsubpix.correlate(empty, empty)


def test_empty_band(im):
    """Else a selection that found no band looks like a problem of dimensions only."""
    with pytest.raises(SubpixError):
        xsubpix.correlate(im.expand_dims(band=1).isel(band=slice(0)), im)


def test_unknown_chunks(im):
    """Else dask's own error appears while the graph is built."""
    data = im.data[None, :, 0] * 0 + im.data
    lazy = da.from_array(data, chunks=8)
    unknown = lazy[lazy[:, 0] > -np.inf]
    bad = xr.DataArray(unknown, dims=("y", "x"))
    with pytest.raises(SubpixError, match="compute_chunk_sizes"):
        xsubpix.correlate(im, bad)


@pytest.mark.parametrize("fill", ["abc", [], {}, b"x"])
def test_nodata_that_is_no_number(im, fill):
    """Else a crash in float()."""
    with pytest.raises(DataError, match=r"_FillValue=.*write_nodata"):
        xsubpix.correlate(im.assign_attrs(_FillValue=fill), im)


def test_step_larger_than_the_image(im):
    """Else an empty field."""
    with pytest.raises(DataError, match=r"step=33.*\(32, 32\)"):
        xsubpix.correlate(im, im, model="phase", step=33)


# ----------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("window", 7), ("window", 513), ("window", 0), ("window", -16), ("window", 16.0),
        ("window", "16"), ("window", True), ("window", (16, 16)), ("window", np.nan),
        ("step", 0), ("step", -1), ("step", 2.5), ("step", False), ("step", "4"),
        ("search", -1), ("search", 1025), ("search", np.nan), ("search", "far"),
        ("device", "gpu"), ("device", 0), ("device", "cpu:x"), ("device", "cuda:x"),
        ("device", "auto:1"), ("device", ""), ("device", "CPU"),
    ],
)  # fmt: skip
def test_values_out_of_bounds_are_refused_by_name(im, name, value):
    """Else a crash inside a task, or a silent default."""
    for model in ("phase", "unet"):
        if model == "unet" and name == "window" and value == 513:
            continue  # a network's windows may be as large
        with pytest.raises(ModelError, match=name):
            xsubpix.correlate(im, im, model=model, **{name: value})


@pytest.mark.parametrize("lazy", [False, True])
def test_bad_parameters_are_refused_before_computing(im, lazy):
    """Else the error comes hours later, from a worker."""
    image = im.chunk(16) if lazy else im
    with pytest.raises(ModelError, match="window=3"):
        xsubpix.correlate(image, image, model="phase", window=3)


def test_unknown_parameter(im):
    """Else a misspelt parameter is ignored, and the default measured with."""
    with pytest.raises(ModelError, match=r"'phase' has no parameter 'windows'.*window, search"):
        xsubpix.correlate(im, im, model="phase", windows=16)
    with pytest.raises(ModelError, match="'iterations'"):
        im.subpix.correlate(im, iterations=5)


@pytest.mark.parametrize("model", ["pahse", "", None, 5, ["phase"], "Phase", object()])
def test_unknown_model(im, model):
    """Else a KeyError, or the default."""
    with pytest.raises(ModelError, match=r"unknown model.*phase"):
        xsubpix.correlate(im, im, model=model)


def test_misspelt_model_gets_a_suggestion(im):
    """Else one has to read the list."""
    with pytest.raises(ModelError, match="Did you mean 'phase'"):
        xsubpix.correlate(im, im, model="pahse")


def test_missing_mps_is_named(im):
    """Else torch's RuntimeError."""
    torch = pytest.importorskip("torch")
    if torch.backends.mps.is_available():
        pytest.skip("this machine has an MPS device")
    with pytest.raises(ModelError, match=r"device='mps'.*auto"):
        xsubpix.correlate(im, im, device="mps")


def test_missing_gpu_is_named(im):
    """Else torch's RuntimeError; where there is one, this passes by measuring."""
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        assert xsubpix.correlate(
            im, im, model="phase", step=16, window=16, device="cuda"
        ).east.shape == (2, 2)
        return
    with pytest.raises(ModelError, match=r"device='cuda'.*auto"):
        xsubpix.correlate(im, im, device="cuda")
