"""Batches without memory are halved; what a GPU itself does is not tested here."""

import numpy as np
import pytest
import torch

from xsubpix import devices
from xsubpix.errors import ModelError
from xsubpix.estimators import create
from xsubpix.estimators import network as module
from xsubpix.networks import build_network
from xsubpix.networks.registry import network_class
from xsubpix.networks.weights import save_network

CPU = torch.device("cpu")


def short_of_memory(most, sizes):
    def run(values, doubled):
        sizes.append(len(values))
        if len(values) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return values + doubled

    return run


@pytest.mark.parametrize("most", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("size", [1, 4, 7, 50])
def test_batches_are_halved_and_nothing_is_lost(most, size):
    """Else a GPU that others use too ends the work, or items are left out."""
    values, sizes = torch.arange(23), []
    parts = devices.in_batches(short_of_memory(most, sizes), (values, 2 * values), size)
    torch.testing.assert_close(torch.cat(parts), 3 * values)
    assert sizes[0] == min(size, 23)
    # It does not ask again for what there was no memory for.
    asked_too_much = [n for n in sizes if n > most]
    assert asked_too_much == sorted(set(asked_too_much), reverse=True)


def test_no_memory_for_one_is_an_error():
    """Else it tries forever."""
    with pytest.raises(torch.OutOfMemoryError):
        devices.in_batches(short_of_memory(0, []), (torch.arange(4), torch.arange(4)), 4)


def test_nothing_is_one_empty_part():
    """Else results of no windows cannot be put together."""
    (part,) = devices.in_batches(short_of_memory(9, []), (torch.arange(0), torch.arange(0)), 4)
    assert len(part) == 0


def test_the_cpu_takes_one_at_a_time():
    """Else results on the CPU depend on what was measured before."""
    with devices.memory_learned(CPU, "work", 100):
        pass
    assert devices.items_that_fit(CPU, "work", 100) == 1
    assert devices.elements_at_once(CPU) == devices.ELEMENTS
    assert not devices.has_bfloat16(CPU)
    array = np.arange(6, dtype=np.float64).reshape(2, 3)
    np.testing.assert_array_equal(devices.to_host(devices.to_device(array, CPU)), array)


@pytest.fixture(scope="module")
def estimator(tmp_path_factory):
    torch.manual_seed(1)
    # Few levels: without training, differences grow from level to level. They see less far.
    network = build_network("unet", width=0.125, levels=[2, 1])
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_network(path, network)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_class("unet"), "context", 128)
        patch.setattr(network_class("unet"), "alignment", 64)
        yield create(str(path), tile_size=128, ensemble=1)


@pytest.fixture(scope="module")
def tiles(scene, estimator):
    side = estimator.tile + 2 * estimator.halo
    pre, post = scene((side, side)), scene((side, side), (1.0, 0.5))
    # All data but the first two of three tiles' borders, so that these are alike.
    pre, post = (np.stack([x, x[::-1], x]).copy() for x in (pre, post))
    pre[2, :, : estimator.halo - 20] = np.nan
    return pre, post


@pytest.fixture(scope="module")
def expected(estimator, tiles):
    """Each tile measured by itself."""
    return estimator(*tiles)


def limited(monkeypatch, largest, seen):
    """Measuring fails where there are more pixels."""
    measure = module._measure

    def run(network, device, pre, post, inside, ensemble):
        seen.append(pre.shape)
        if pre.size > largest:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return measure(network, device, pre, post, inside, ensemble)

    monkeypatch.setattr(module, "_measure", run)


def test_tiles_are_measured_in_batches_of_any_size(estimator, tiles, expected, monkeypatch):
    """Else the result depends on the memory that a GPU happens to have."""
    seen = []
    monkeypatch.setattr(devices, "items_that_fit", lambda device, work, pixels: 8)
    with monkeypatch.context() as patch:
        limited(patch, 10**9, seen)
        at_once = estimator(*tiles)
    assert sorted(shape[0] for shape in seen) == [1, 2]
    side = tiles[0].shape[1]
    with monkeypatch.context() as patch:
        limited(patch, side * side, seen)
        halved = estimator(*tiles)
    for got in (at_once, halved):
        for name in ("dx", "dy", "quality"):
            np.testing.assert_allclose(
                getattr(got, name), getattr(expected, name), atol=1e-3, equal_nan=True
            )
        np.testing.assert_array_equal(got.flags, expected.flags)


def test_a_tile_that_does_not_fit_is_measured_in_parts(estimator, tiles, expected, monkeypatch):
    """Else a large window on a small GPU is an error, not a little slower."""
    one, seen = tuple(x[:1] for x in tiles), []
    side = one[0].shape[1]
    limited(monkeypatch, side * side - 1, seen)
    got = estimator(*one)
    assert len(seen) > 2
    # As windows of half the size meet: the context is all that changes the result.
    np.testing.assert_allclose(got.dx, expected.dx[:1], atol=0.01)
    np.testing.assert_allclose(got.dy, expected.dy[:1], atol=0.01)
    np.testing.assert_array_equal(got.flags, expected.flags[:1])


def test_no_memory_at_all_is_said(estimator, tiles, monkeypatch):
    """Else torch's own error comes out after halving without end."""
    limited(monkeypatch, 0, [])
    with pytest.raises(ModelError, match=r"no memory left for .* smaller tile_size="):
        estimator(*tiles)
