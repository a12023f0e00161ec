"""The path that a GPU takes, on the CPU: no round trip to the host inside of a tile.

Tensors say that they are on a GPU and compute on the CPU, so that what is asked of them
can be counted, and the numbers be compared.
"""

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from xsubpix import devices
from xsubpix.estimators import network as module
from xsubpix.networks import available_networks, build_network, views
from xsubpix.networks.box import Box
from xsubpix.networks.normalise import normalise

GPU, CPU = torch.device("cuda"), torch.device("cpu")
# What ends in a number, or in a size that depends on numbers, has to be waited for.
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2"}


class OnGPU(torch.Tensor):
    """A tensor that says it is on a GPU, and computes on the CPU."""

    waits: list[str] = []  # noqa: RUF012

    @staticmethod
    def __new__(cls, values):
        return torch.Tensor._make_wrapper_subclass(
            cls, values.shape, strides=values.stride(), dtype=values.dtype
        )

    def __init__(self, values):
        self.values_on_cpu = values

    @property
    def device(self):
        return GPU

    def cpu(self):
        self.waits.append("cpu")
        return off(self)

    def to(self, *args, **kwargs):
        if any(isinstance(x, str | torch.device) for x in (*args, kwargs.get("device"))):
            return self.cpu()
        return super().to(*args, **kwargs)

    def numpy(self):
        raise TypeError("can't convert a tensor on a GPU to numpy")

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), function.overloadpacket.__name__
        masked = name in ("index", "index_put", "index_put_") and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if masked or name in WAITS:
            cls.waits.append("nonzero" if masked else name)
        if kwargs.get("device") is not None:
            kwargs["device"] = CPU
        args, kwargs = tree_map(off, (args, kwargs))
        return tree_map(on, function(*args, **kwargs))


def on(value):
    return OnGPU(value) if type(value) is torch.Tensor else value


def off(value):
    return value.values_on_cpu if isinstance(value, OnGPU) else value


class Made(TorchFunctionMode):
    """Makes tensors where they are asked for; numbers of the host are copied there."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        device = kwargs.get("device")
        if device is None or torch.device(device) != GPU:
            return function(*args, **kwargs)
        if function in (torch.tensor, torch.as_tensor, torch.from_numpy):
            OnGPU.waits.append("copy to the device")
        return on(function(*args, **{**kwargs, "device": CPU}))


@pytest.fixture
def waits():
    OnGPU.waits.clear()
    with Made():
        yield OnGPU.waits
    OnGPU.waits.clear()
    # What was kept for the GPU is not on one.
    views._exchange.cache_clear()


def image(scene, missing=True):
    pixels = torch.from_numpy(np.stack([scene((96, 128)), scene((96, 128), seed=1)]))
    if missing:
        pixels[0, 10:30, 20:70] = torch.nan
    return pixels


def test_waits_are_seen(waits):
    """Else the tests below prove nothing."""
    x = on(torch.ones(3))
    assert bool((x > 0).all())
    x.cpu()
    x.to("cpu")
    float(x.sum())
    x[x > 0]
    torch.tensor([1.0], device=x.device)
    assert waits == [
        "_local_scalar_dense", "cpu", "cpu", "_local_scalar_dense", "nonzero",
        "copy to the device",
    ]  # fmt: skip
    with pytest.raises(TypeError):
        x.numpy()


@pytest.mark.parametrize("missing", [True, False])
def test_normalisation_stays_on_the_device(scene, waits, missing):
    """Else a GPU stands still twice a tile, and its numbers are others than the CPU's."""
    pixels = image(scene, missing)
    expected = normalise(pixels)
    got = normalise(on(pixels))
    assert waits == []
    for one, two in zip(got, expected, strict=True):
        assert one.device == GPU
        torch.testing.assert_close(off(one), two, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", available_networks())
def test_a_tile_is_copied_in_and_out_and_nothing_else(scene, waits, monkeypatch, name):
    """All views that are the default, network and quality; the numbers are those of the CPU.

    Else a GPU stands still within each tile. It may be asked whether there are large steps, once
    before each of the finest levels: layers where there are none would take longer than the wait.
    """
    torch.manual_seed(1)
    network = build_network(name, width=0.125).eval()
    pre = image(scene).numpy()
    post = np.roll(pre, 1, 2)
    copies = []

    def to_device(array, device):
        copies.append("in")
        return on(torch.from_numpy(np.ascontiguousarray(array, np.float32)))

    def to_host(tensor):
        copies.append("out")
        return off(tensor).numpy()

    monkeypatch.setattr(devices, "has_bfloat16", lambda device: False)
    monkeypatch.setattr(module, "_fast_bfloat16", lambda: False)
    asked = Box(16, 80, 16, 112)
    with torch.no_grad():
        expected = module._measure(network, CPU, pre, post, asked, network.views)
        monkeypatch.setattr(devices, "to_device", to_device)
        monkeypatch.setattr(devices, "to_host", to_host)
        # The order of a view's channels is copied once a process.
        module._measure(network, GPU, pre, post, asked, network.views)
        copies.clear(), waits.clear()
        got = module._measure(network, GPU, pre, post, asked, network.views)
    assert copies == ["in", "in", "out"]
    assert waits == (2 if name == "unet" else 0) * ["_local_scalar_dense"]
    np.testing.assert_allclose(got, expected, atol=1e-3)
