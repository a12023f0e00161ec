"""Samples from a user's own images."""

import numpy as np
import pytest

from xsubpix.database import database_table, open_database
from xsubpix.database.own_pair import training_samples
from xsubpix.errors import DataError, GridError
from xsubpix.training.samples import DatabaseFrames

SIZES = {"frame": 64, "crop": 32, "scheduler": "synchronous"}


def test_two_dates_make_samples(scene, utm, tmp_path):
    """A user's real second dates would not reach the training."""
    rng = np.random.default_rng(0)
    first = scene((200, 420))
    second = (1.3 * first + 20 + rng.normal(0, 2, first.shape)).astype(np.float32)
    pre, post = utm(first), utm(second)
    samples = training_samples(pre, post, path=tmp_path / "own.zarr", faults=(2, 1), **SIZES)
    assert samples.sizes == {"sample": 18, "scaling": 4, "y": 32, "x": 32}
    assert float(samples.correlation.median()) > 0.9
    assert len(open_database(tmp_path / "own.zarr", "validation").sample) == 9
    # Ground of the validation is ground that training never sees.
    train, kept = (database_table(tmp_path / "own.zarr", s) for s in ("train", "validation"))
    assert set(train.scene.values) == {"train_pre"}
    assert set(kept.scene.values) == {"validation_pre"}
    frame = DatabaseFrames(str(tmp_path / "own.zarr"), "train").get(0, 3)
    assert np.abs(frame.flow).max() > 0.2


def test_one_date_makes_samples(scene, utm, tmp_path):
    """Second dates must be simulated where there is only one."""
    samples = training_samples(
        utm(scene((420, 200))), path=tmp_path / "own.zarr", faults=(1, 1), **SIZES
    )
    one, two = (samples[name].isel(sample=0, scaling=0).values for name in ("pre", "post"))
    assert 0.2 < np.corrcoef(one.ravel(), two.ravel())[0, 1] < 0.999


def test_bad_input_is_refused(scene, utm, tmp_path):
    """The error must come before anything is written."""
    pre = utm(scene((200, 300)))
    with pytest.raises(DataError, match="smaller frame"):
        training_samples(pre, path=tmp_path / "own.zarr", **SIZES)
    with pytest.raises(GridError):
        training_samples(pre, utm(scene((200, 301))), path=tmp_path / "own.zarr", **SIZES)
    assert not list(tmp_path.iterdir())
