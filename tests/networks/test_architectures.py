"""Layers, sizes and numbers of weights of the architectures."""

from pathlib import Path

import numpy as np
import pytest
import torch

from xsubpix.errors import ModelError
from xsubpix.networks import available_networks, build_network, shipped_models
from xsubpix.networks.box import Box
from xsubpix.networks.correlation import correlation_layer
from xsubpix.networks.warping import warp_back
from xsubpix.networks.weights import load_network

# Convolutions of the papers: (kernel, stride, in, out), in the order of the forward pass.
ENCODERS = {
    "geoflownet": [
        (3, 1, 2, 64), (3, 1, 64, 128), (3, 2, 128, 256), (3, 1, 256, 256), (3, 2, 256, 512),
        (3, 1, 512, 512), (3, 2, 512, 512), (3, 1, 512, 512), (3, 2, 512, 1024),
        (3, 1, 1024, 1024),
    ],
    "flownet-sd": [
        (3, 1, 2, 64), (3, 2, 64, 64), (3, 1, 64, 128), (3, 2, 128, 128), (3, 1, 128, 128),
        (3, 2, 128, 256), (3, 1, 256, 256), (3, 2, 256, 512), (3, 1, 512, 512), (3, 2, 512, 512),
        (3, 1, 512, 512), (3, 2, 512, 1024), (3, 1, 1024, 1024),
    ],
    "flownet-s": [
        (7, 2, 2, 64), (5, 2, 64, 128), (5, 2, 128, 256), (3, 1, 256, 256), (3, 2, 256, 512),
        (3, 1, 512, 512), (3, 2, 512, 512), (3, 1, 512, 512), (3, 2, 512, 1024),
        (3, 1, 1024, 1024),
    ],
    "flownet-c": [
        (7, 2, 1, 64), (5, 2, 64, 128), (5, 2, 128, 256), (1, 1, 256, 32), (3, 1, 473, 256),
        (3, 2, 256, 512), (3, 1, 512, 512), (3, 2, 512, 512), (3, 1, 512, 512),
        (3, 2, 512, 1024), (3, 1, 1024, 1024),
    ],
    "window-cnn": [
        (3, 1, 2, 32), (3, 1, 32, 48), (3, 1, 48, 64), (3, 1, 64, 96), (3, 1, 96, 128),
        (6, 1, 128, 256), (1, 1, 256, 2),
    ],
}  # fmt: skip
PARAMETERS = {
    "geoflownet": 38_002_512,
    "flownet-sd": 45_368_402,
    "flownet-s": 38_662_992,
    "flownet-c": 39_168_048,
    "window-cnn": 1_388_722,
    "unet": 931_860,
    "unet-smooth": 916_876,
}
SCALES = {
    "geoflownet": [16, 8, 4, 2, 1],
    "flownet-sd": [64, 32, 16, 8, 4, 1],
    "flownet-s": [64, 32, 16, 8, 4, 1],
    "flownet-c": [64, 32, 16, 8, 4, 1],
    "window-cnn": [1],
    "unet": [4, 2, 1, 1],
    "unet-smooth": [4, 2, 1, 1],
    "microflow": [1, 1, 1],
}


@pytest.mark.parametrize("name", ENCODERS)
def test_layer_table(name):
    """A layer of another size would be another architecture under the paper's name."""
    convolutions = [
        (m.kernel_size[0], m.stride[0], m.in_channels, m.out_channels)
        for m in build_network(name).modules()
        if isinstance(m, torch.nn.Conv2d)
    ]
    assert convolutions[: len(ENCODERS[name])] == ENCODERS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_number_of_weights(name):
    """A forgotten skip, bias or head changes the count."""
    assert build_network(name).count_parameters() == PARAMETERS[name]


@pytest.mark.parametrize("name", available_networks())
def test_scales_of_the_predictions(name):
    """The loss and the output would be laid over the wrong pixels."""
    network = build_network(name, width=0.125)
    images = torch.randn(2, 2, 1, 64, 128).unbind(0)
    with torch.inference_mode():
        found = network(*images)
    assert [f.scale for f in found] == SCALES[name]
    for prediction in found:
        assert prediction.flow.shape == (2, 2, 64 // prediction.scale, 128 // prediction.scale)
    assert (found[-1].log_spread is not None) == name.startswith("unet")


@pytest.mark.parametrize("name", available_networks())
def test_gradients_reach_all_weights(name):
    """A branch that is cut off would never learn."""
    network = build_network(name, width=0.125)
    if name == "unet":
        # Neighbours are asked only where flows differ by more than a pixel.
        with torch.no_grad():
            network.leave.weight *= 300
    found = network(*torch.randn(2, 1, 1, 64, 64).unbind(0))
    loss = sum(f.flow.square().sum() for f in found)
    loss = loss + sum(f.log_spread.sum() for f in found if f.log_spread is not None)
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters())


def test_width_scales_channels():
    """The width that fits a file could not be chosen."""
    narrow, wide = (build_network("geoflownet", width=w).count_parameters() for w in (0.25, 0.5))
    assert narrow == pytest.approx(PARAMETERS["geoflownet"] / 16, rel=0.02)
    assert wide == pytest.approx(PARAMETERS["geoflownet"] / 4, rel=0.02)


def test_window_cnn_sees_its_window_alone():
    """The sliding form must equal the network on single windows, or it is no window CNN."""
    network = build_network("window-cnn", width=0.25).eval()
    pre, post = torch.randn(2, 1, 1, 40, 40).unbind(0)
    with torch.inference_mode():
        whole = network(pre, post)[-1].flow
        row, col = 19, 22
        window = (..., slice(row - 7, row + 9), slice(col - 7, col + 9))
        single = network.windows(pre[window], post[window])
    torch.testing.assert_close(whole[:, :, row, col], single, atol=1e-5, rtol=1e-4)


def test_correlation_layer_finds_a_shift():
    """FlowNet-C would compare the wrong places."""
    features = torch.randn(1, 8, 24, 24)
    moved = torch.roll(features, (4, -6), (2, 3))
    match = correlation_layer(features, moved, reach=8, stride=2)
    assert match.shape == (1, 81, 24, 24)
    best = int(match[0, :, 10:14, 10:14].mean((1, 2)).argmax())
    assert (best // 9 * 2 - 8, best % 9 * 2 - 8) == (4, -6)


def test_warp_back_undoes_a_shift():
    """Levels would correct the flow in the wrong direction."""
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.normal(size=(1, 1, 30, 30)).astype(np.float32))
    moved = torch.roll(image, (2, -3), (2, 3))
    flow = torch.tensor([-3.0, 2.0]).reshape(1, 2, 1, 1).expand(1, 2, 30, 30)
    back = warp_back(moved, flow)
    torch.testing.assert_close(back[..., 5:-5, 5:-5], image[..., 5:-5, 5:-5], atol=1e-4, rtol=0)


def test_unknown_names_are_refused():
    """A typing error would end in a traceback of importlib or of torch."""
    with pytest.raises(ModelError, match="geoflownet"):
        build_network("geoflow")
    with pytest.raises(ModelError, match="widht"):
        build_network("unet", widht=2)


@pytest.mark.parametrize(
    "name",
    ["flownet-c", "flownet-s", "flownet-sd", "geoflownet", "shipped-flownet-sd",
     "shipped-geoflownet", "shipped-window-cnn"],
)  # fmt: skip
def test_outputs_are_those_of_before(name):
    """Weights would be read into other layers, or drawn in another order."""
    kept = np.load(Path(__file__).with_name("outputs.npz"))[name]
    if name.startswith("shipped-"):
        network = load_network(shipped_models()[name.removeprefix("shipped-")])
    else:
        torch.manual_seed(0)
        network = build_network(name, width=0.125).eval()
    images = (
        torch.from_numpy(np.random.default_rng(k).normal(size=(1, 1, 128, 192)).astype("f4"))
        for k in (0, 1)
    )
    with torch.inference_mode():
        flow = network(*images)[-1].flow[0, :, ::16, ::16]
    np.testing.assert_allclose(flow, kept, rtol=0, atol=1e-4 * np.abs(kept).max())


def test_boxes():
    """Networks would be asked for other pixels than those that are returned."""
    image = np.arange(40 * 60).reshape(40, 60)
    box = Box(10, 20, 31, 40)
    wide = box.grown(7, image.shape, multiple=8)
    assert wide == Box(0, 32, 24, 48)
    assert box.grown(50, image.shape) == Box.whole(image.shape)
    np.testing.assert_array_equal(image[wide.slices][box.within(wide).slices], image[box.slices])
    assert Box(8, 16, 24, 48).reduced(8).shape == (1, 3)
    one, two = wide.halves(8)
    assert (one.bottom, two.top) == (16, 16)
    assert one.shape == two.shape == (16, 24)
    assert Box(0, 8, 0, 8).halves(8) is None
