"""Names and parameters are the same across models."""

import dataclasses

import pytest

import xsubpix
from xsubpix import ModelError
from xsubpix.estimators import create
from xsubpix.estimators.pyramid import CoarseToFine
from xsubpix.estimators.registry import create_searching

WINDOWED = ("phase", "cosi-corr", "micmac")
CLASSICAL = (*WINDOWED, "deepflow", "dis", "tvl1")


def made(model, **options):
    try:
        return create(model, **options)
    except ModelError as error:
        if "not installed" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.mark.parametrize("model", CLASSICAL)
def test_uniform_parameters(model):
    """Else every model has names of its own for the same thing, or hides them."""
    estimator = made(model)
    assert model in xsubpix.available_models()
    names = {f.name for f in dataclasses.fields(estimator)}
    assert {"window", "step", "device"} <= names
    assert ("search" in names) == (model in WINDOWED)
    told = "".join(cls.__doc__ for cls in type(estimator).__mro__ if cls is not object)
    for name in names:
        assert f"    {name} :" in told


@pytest.mark.parametrize("model", CLASSICAL)
def test_any_search_is_taken(model):
    """Else a glacier can be measured with some models only."""
    made(model)
    for search in (2, 40):
        estimator = create_searching(model, search)
        assert isinstance(estimator, CoarseToFine) == (search == 40)
        assert estimator.halo >= search


@pytest.mark.parametrize("model", CLASSICAL)
def test_unknown_parameters_are_refused_with_the_list(model, pair):
    """Else a parameter of another program is silently ignored."""
    names = [f.name for f in dataclasses.fields(made(model))]
    with pytest.raises(ModelError) as error:
        xsubpix.correlate(*pair, model=model, windowsize=32)
    assert f"model {model!r} has no parameter 'windowsize'" in str(error.value)
    for name in names:
        assert name in str(error.value)


@pytest.mark.parametrize(
    ("model", "options", "step"),
    [
        ("phase", {}, 8),
        ("phase", {"window": 64}, 16),
        ("cosi-corr", {"window": 9}, 2),
        ("phase", {"step": 1}, 1),
        ("unet", {}, 1),
    ],
)
def test_the_step_is_the_models_own(model, options, step):
    """Else a window correlator repeats itself at each pixel, for sixty times the time."""
    assert create(model, **options).step == step


def test_the_step_of_a_searching_model_is_that_of_the_fine_one():
    """Else its tiles are cut at one distance and measured at another."""
    assert create_searching("phase", 60).step == 8
    assert create_searching("phase", 60, step=3).step == 3


@pytest.mark.parametrize("model", xsubpix.available_models())
def test_blur_and_error_length_are_numbers(model):
    """Else products have nothing to go by."""
    estimator = made(model)
    for length in (estimator.blur, estimator.error_length):
        assert isinstance(length, float)
        assert 1.0 <= length <= 64.0
    searching = create_searching(estimator, 60)
    assert (searching.blur, searching.error_length) == (estimator.blur, estimator.error_length)
