"""Blocks that are handed on as they are computed, in this process."""

import threading

import dask
import dask.array as da
import numpy as np
import pytest

from xsubpix.blocks import compute_blocks


@pytest.mark.parametrize("scheduler", ["synchronous", "single-threaded", dask.get])
def test_one_after_the_other(scheduler):
    """Who asks dask for that looks for a mistake, or counts on the order: threads were used."""
    seen = []

    def put(key, row, col, blocks):
        seen.append((key, (row, col), threading.current_thread(), blocks[0]))

    array = da.arange(12, chunks=12).reshape(3, 4).rechunk((2, 3))
    with dask.config.set(scheduler=scheduler):
        compute_blocks([array], put)
    assert {thread for *_, thread, _ in seen} == {threading.main_thread()}
    for _, (row, col), _, block in seen:
        np.testing.assert_array_equal(block, array[row : row + 2, col : col + 3])
    assert sorted(key for key, *_ in seen) == [(0, 0), (0, 1), (1, 0), (1, 1)]
