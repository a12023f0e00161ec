"""The published layout, written here as it is described, read as our samples."""

import numpy as np
import pytest

from xsubpix.database import open_faultdeform
from xsubpix.errors import DataError, FileError


def write(folder, sample, scaling, seed=0, shape=(24, 20)):
    """One file of FaultDeform; what was written."""
    rng = np.random.default_rng([seed, sample, scaling])
    arrays = {
        "int_array_1": rng.integers(0, 60000, shape).astype(np.int32),
        "int_array_2": rng.integers(0, 60000, shape).astype(np.int32),
        "float_array_1": rng.normal(size=shape),
        "float_array_2": rng.normal(size=shape),
    }
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{sample:06d}_{scaling}_sample.npy.npz", **arrays)
    return arrays


def test_reads_the_layout(tmp_path):
    """If it failed, methods could not be compared on the published data."""
    written = {(i, k): write(tmp_path / "val", i, k) for i in (7, 3, 123456) for k in range(4)}
    write(tmp_path / "train", 0, 0)
    ds = open_faultdeform(tmp_path, "validation")
    assert ds.sizes == {"sample": 3, "scaling": 4, "y": 24, "x": 20}
    assert ds.id.values.tolist() == [3, 7, 123456]
    assert ds.number.values.tolist() == [0, 1, 2, 3]
    for n, i in enumerate(ds.id.values):
        for k in range(4):
            one, truth = ds.isel(sample=n, scaling=k), written[i, k]
            np.testing.assert_array_equal(one.pre, truth["int_array_1"].astype(np.float32))
            np.testing.assert_array_equal(one.post, truth["int_array_2"].astype(np.float32))
            np.testing.assert_array_equal(one.dx, truth["float_array_1"].astype(np.float32))
            # Positive north is toward the first row.
            np.testing.assert_array_equal(one.dy, -truth["float_array_2"].astype(np.float32))


def test_north_may_point_down(tmp_path):
    """If it failed, a database of the other sign could not be used."""
    truth = write(tmp_path / "test", 0, 0)
    ds = open_faultdeform(tmp_path, "test", north="down")
    np.testing.assert_array_equal(ds.dy[0, 0], truth["float_array_2"].astype(np.float32))
    assert ds.sizes["scaling"] == 1


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    """If it failed, opening 360,000 files would read them."""
    write(tmp_path / "train", 0, 0)
    write(tmp_path / "train", 1, 0)
    bad = tmp_path / "train" / "000001_0_sample.npy.npz"
    bad.write_bytes(b"not a zip file")
    ds = open_faultdeform(tmp_path)
    assert np.isfinite(ds.pre[0]).all()
    with pytest.raises(FileError, match="000001_0"):
        ds.pre[1].compute()


def test_refused(tmp_path):
    """If it failed, a wrong folder would look like an empty database."""
    with pytest.raises(FileError, match="no files"):
        open_faultdeform(tmp_path)
    with pytest.raises(DataError, match="sideways"):
        open_faultdeform(tmp_path, north="sideways")
    with pytest.raises(DataError, match="dev"):
        open_faultdeform(tmp_path, "dev")
    for i, k in ((0, 0), (0, 1), (1, 0)):
        write(tmp_path / "train", i, k)
    with pytest.raises(FileError, match="000001_1"):
        open_faultdeform(tmp_path)
    write(tmp_path / "train", 1, 1, shape=(8, 8))
    with pytest.raises(FileError, match="one size"):
        open_faultdeform(tmp_path).pre[1, 1].compute()
