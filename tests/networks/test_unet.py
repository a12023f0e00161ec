"""The pyramid of ``unet``: levels, neighbours' flows, exact resampling, missing pixels."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from xsubpix.networks import build_network, shipped_models
from xsubpix.networks.box import Box
from xsubpix.networks.candidates import neighbouring_flows
from xsubpix.networks.unet import convolved_blocks, warp_nearest
from xsubpix.networks.views import ORDERED_VIEWS
from xsubpix.networks.warping import spline_coefficients, spline_filters, warp_back, warp_spline
from xsubpix.networks.weights import load_network


def texture(side: int, seed: int = 0, width: float = 0.7) -> np.ndarray:
    """Image with detail up to near Nyquist."""
    rng = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(rng.standard_normal((side, side)), width)
    return (image / image.std()).astype(np.float32)


def fourier_shifted(image: np.ndarray, dx: float, dy: float) -> np.ndarray:
    """Periodic image whose ground has moved by (dx, dy) pixels, exactly."""
    return np.fft.ifft2(ndimage.fourier_shift(np.fft.fft2(image), (dy, dx))).real


@pytest.mark.parametrize("shift", [0.1, 0.3, 0.5, 0.7])
def test_resampling_does_not_lock_to_pixels(shift):
    """Interpolation that blurs by the fraction of a pixel would bias every displacement."""
    image = texture(96, width=0.9)
    moved = torch.from_numpy(fourier_shifted(image, shift, 0.0).astype(np.float32))[None, None]
    flow = torch.tensor([shift, 0.0]).reshape(1, 2, 1, 1).expand(1, 2, 96, 96)
    slope = np.gradient(image, axis=1)[20:-20, 20:-20]

    def bias(back: torch.Tensor) -> float:
        rest = (back[0, 0].numpy() - image)[20:-20, 20:-20]
        return abs(float((rest * slope).sum() / (slope * slope).sum()))

    with torch.inference_mode():
        ours = bias(warp_spline(spline_coefficients(moved, spline_filters()), flow))
    assert ours < 0.003
    assert ours <= max(0.0015, 0.25 * bias(warp_back(moved, flow)))


def test_resampling_is_the_same_with_gradients():
    """Training on a GPU would see other images than inference on a CPU."""
    images = torch.from_numpy(texture(40))[None, None]
    with torch.inference_mode():
        fast = spline_coefficients(images, spline_filters())
    torch.testing.assert_close(
        spline_coefficients(images.requires_grad_(), spline_filters()), fast.clone()
    )


def test_whole_shifts_are_exact():
    """A displacement of whole pixels needs no interpolation, and should show none."""
    image = torch.from_numpy(texture(40))[None, None]
    flow = torch.tensor([3.0, -2.0]).reshape(1, 2, 1, 1).expand(1, 2, 40, 40)
    with torch.inference_mode():
        back = warp_spline(spline_coefficients(image, spline_filters()), flow)
    expected = torch.roll(image, (2, -3), (2, 3))
    torch.testing.assert_close(back[..., 10:-10, 10:-10], expected[..., 10:-10, 10:-10],
                               atol=2e-3, rtol=0)  # fmt: skip


def test_neighbours_offer_both_sides_of_a_step():
    """Ground beside a large rupture would be left with a mixture of both sides."""
    flow = torch.zeros(1, 2, 32, 48)
    ramp = torch.linspace(0, 1, 9)
    flow[:, 0, :, 20:29] = 20 * ramp - 10
    flow[:, 0, :, :20], flow[:, 0, :, 29:] = -10, 10
    most, least = neighbouring_flows(flow)
    assert float(most[0, 0, 16, 24]) > 7
    assert float(least[0, 0, 16, 24]) < -7
    torch.testing.assert_close(most[..., :10], flow[..., :10])


def test_smooth_flows_have_no_neighbours():
    """Candidates where nothing differs would cost time in every scene."""
    flow = torch.linspace(0, 1, 64).expand(1, 2, 64, 64)
    assert neighbouring_flows(flow) is None


def test_nearest_pixels_follow_the_flow():
    """Holes of the second image would be taken for ground."""
    valid = torch.ones(1, 1, 20, 20)
    valid[..., 10] = 0
    flow = torch.zeros(1, 2, 20, 20)
    flow[:, 0] = 4.2
    moved = warp_nearest(valid, flow)
    assert float(moved[0, 0, 5, 6]) == 0
    assert float(moved[0, 0, 5, 10]) == 1
    # Beyond the border there is nothing.
    assert float(moved[0, 0, 5, 18]) == 0


def test_blocks_are_convolved_without_a_copy():
    """Weights of blocks of pixels would be laid over other pixels."""
    layer = torch.nn.Conv2d(8, 5, 3, padding=1)
    images = torch.randn(2, 2, 16, 24)
    expected = F.conv2d(F.pixel_unshuffle(images, 2), layer.weight, layer.bias, padding=1)
    found = convolved_blocks(images, layer.weight, layer.bias)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_levels_are_means_of_valid_pixels():
    """Missing pixels would leak into coarse levels as values."""
    network = build_network("unet", width=0.125, levels=[16, 8, 4, 2, 1])
    image = torch.from_numpy(texture(128))[None].clone()
    image[:, 40:60, 30:90] = torch.nan
    pyramid = network.prepare(image)
    assert [tuple(level.shape[1:]) for level in pyramid] == [
        (2, 128 >> k, 128 >> k) for k in range(5)
    ]
    for k, level in enumerate(pyramid):
        assert bool(torch.isfinite(level).all())
        row, col = 50 >> k, 60 >> k
        if 2**k <= 8:
            assert level[0, :, row, col].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("step", [0.0, 6.0])
def test_box_equals_the_whole(step):
    """Windows of a scene would not meet, at a large rupture least of all."""
    network = load_network(shipped_models()["unet"])
    pre = texture(512)
    post = np.concatenate(
        [np.roll(pre[:250], round(step), 1), np.roll(pre[250:], -round(step), 1)]
    ) + 0.3 * texture(512, 1)
    images = [network.prepare(torch.from_numpy(image.astype("f4"))[None]) for image in (pre, post)]
    box = Box(192, 320, 192, 320)
    with torch.inference_mode():
        whole = network.predict_box(*images, Box.whole((512, 512))).flow[box.slices]
        part = network.predict_box(*images, box).flow
    assert float(whole[0, 0, 0].mean()) == pytest.approx(step, abs=0.05)
    torch.testing.assert_close(part, whole, atol=5e-3, rtol=0)


@pytest.mark.parametrize("view", ORDERED_VIEWS)
def test_weights_are_exchanged_as_channels_are(view):
    """A view would be measured with the signs or the neighbours of another."""
    network = load_network(shipped_models()["unet"])
    seen = torch.randn(1, 19, 32, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = network._seen(seen, view)
        shown = network.seen.exchanged(view.turned(seen), view).contiguous()
        alone = network._seen(shown, ORDERED_VIEWS[0])
        expected = network.returned.exchanged(view.undo(alone), view)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("view", "most"), list(zip(ORDERED_VIEWS, (0, 0.01, 1e-5, 0.01), strict=True))
)
def test_a_view_within_is_a_view_of_the_images(view, most):
    """What channels mean would be other than what the table of channels says."""
    network = load_network(shipped_models()["unet"])
    pre = torch.from_numpy(texture(256).astype("f4"))[None]
    post = pre.roll(1, 2) + 0.1 * torch.from_numpy(texture(256, 1).astype("f4"))
    boxes = [Box(0, 256, 0, 256)] * len(network.levels)
    with torch.inference_mode():
        within = network._steps(network.prepare(pre), network.prepare(post), boxes, [view])[-1]
        turned = (network.prepare(view.apply(image[:, None])[:, 0]) for image in (pre, post))
        outside = view.undo(network._steps(*turned, boxes)[-1].flow)
    outside = outside.flip(1) if view.transpose else outside
    outside = outside * torch.tensor(view.signs).view(1, 2, 1, 1)
    inner = (..., slice(16, -16), slice(16, -16))
    # Neighbours are those of every fourth pixel: others where rows or columns are reversed.
    most = 0.01 if view.reverse else 1e-5
    assert float((within.flow - outside)[inner].abs().max()) <= most


@pytest.mark.parametrize(
    ("count", "shown"),
    [(1, [[0]] * 4), (2, [[0, 1], [0, 1], [2], [0, 1]]), (4, [[0, 1, 2, 3]] * 2 + [[0, 1]])],
)
def test_a_level_gone_through_twice_is_first_seen_from_elsewhere(count, shown, monkeypatch):
    """With the same views both times, biases of whole shifts were 0.003 px instead of 0.0026."""
    network = build_network("unet", width=0.125).eval()
    seen = []
    corrected = network._corrected

    def spy(inputs, beside, views):
        seen.append([ORDERED_VIEWS.index(view) for view in views])
        return corrected(inputs, beside, views)

    monkeypatch.setattr(network, "_corrected", spy)
    with torch.inference_mode():
        image = network.prepare(torch.from_numpy(texture(128)).float()[None])
        network.predict_box(image, image, Box.whole((128, 128)), count)
    assert seen[: len(shown)] == shown
    assert seen[-1] == list(range(count))


def test_fields_that_changed_do_not_hide_where_the_ground_went():
    """Coarse grey values of two seasons have little in common; a narrow side of a rupture
    would take the flow of the wide one, and no later level is wide enough to bring it back."""
    ground = texture(512, 0, 1.5) + texture(512, 5, 4)
    moved = np.roll(ground, 30, 1)
    moved[:, :150] = np.roll(ground, -20, 1)[:, :150]
    images = (ground + 2 * texture(512, 1, 8), moved + 2 * texture(512, 2, 8))
    network = build_network("unet", width=0.125)
    pre, post = (torch.from_numpy(image)[None] for image in images)
    with torch.inference_mode():
        flow = network.first(network.prepare(pre), network.prepare(post), Box(0, 512, 0, 512))
    dx = 4 * flow[0, 0, 16:-16]
    assert float(((dx[:, 10:27] + 20).abs() > 8).float().mean()) < 0.02
    assert float(((dx[:, 45:110] - 30).abs() > 8).float().mean()) < 0.02
