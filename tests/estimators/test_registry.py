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
