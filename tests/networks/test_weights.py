"""Weights on disk: whole, with their card, and nothing that runs."""

import json
import pickle
import struct

import numpy as np
import pytest
import torch

from xsubpix.errors import ModelError
from xsubpix.networks import build_network, read_card, shipped_models
from xsubpix.networks.weights import load_network, save_network


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    network = build_network("unet", width=0.125).eval()
    path = tmp_path / "net.safetensors"
    save_network(path, network, {"licence": "BSD-3-Clause"}, half=False)
    return network, path


def test_round_trip(saved):
    """A network that was read would not be the one that was trained."""
    network, path = saved
    again = load_network(path)
    images = torch.randn(2, 1, 1, 64, 64).unbind(0)
    with torch.inference_mode():
        torch.testing.assert_close(again(*images)[-1].flow, network(*images)[-1].flow)
    card = read_card(path)
    assert card["architecture"] == "unet"
    assert card["config"] == {"width": 0.125, "levels": [4, 2, 1, 1]}
    assert card["licence"] == "BSD-3-Clause"


def test_half_precision_halves_the_file(saved, tmp_path):
    """Files would not fit a wheel."""
    network, path = saved
    save_network(tmp_path / "half.safetensors", network)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * path.stat().st_size
    assert next(load_network(tmp_path / "half.safetensors").parameters()).dtype == torch.float32


def test_nothing_half_written(saved, tmp_path):
    """Weights that are not finite would replace good ones, or leave rubbish."""
    network, path = saved
    before = path.read_bytes()
    with torch.no_grad():
        next(network.parameters())[0] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        save_network(path, network)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ModelError, match=r"\.safetensors"):
        save_network(tmp_path / "net.pt", network)


class Bomb:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        pickle.dumps(Bomb()),
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 40) + json.dumps({"__metadata__": {"xsubpix": "no json"}}).encode(),
        np.random.default_rng(0).bytes(4096),
    ],
)
def test_malformed_files_are_refused(tmp_path, capfd, content):
    """A file from elsewhere would crash, or run what it holds."""
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    for function in (read_card, load_network):
        with pytest.raises(ModelError, match="bad"):
            function(path)
    assert "executed" not in capfd.readouterr().out


def test_truncated_tensors_are_refused(saved):
    """Half a download would measure nonsense."""
    _, path = saved
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="cannot be read"):
        load_network(path)


def test_tensors_of_another_network_are_refused(saved, tmp_path):
    """Weights would be left random without a word."""
    from safetensors.torch import load_file, save_file

    _, path = saved
    card = json.dumps({"architecture": "unet", "config": {"width": 0.25}})
    save_file(load_file(path), tmp_path / "other.safetensors", metadata={"xsubpix": card})
    with pytest.raises(ModelError, match="does not hold the weights"):
        load_network(tmp_path / "other.safetensors")


def test_shipped_weights_fit():
    """What is shipped must load, say what it is, and stay small."""
    sizes = []
    for name, path in shipped_models().items():
        card = read_card(path)
        load_network(path)
        assert {"licence", "training", "figures", "version"} <= set(card), name
        sizes.append(path.stat().st_size)
    assert max(sizes, default=0) <= 10e6
    assert sum(sizes) <= 30e6
