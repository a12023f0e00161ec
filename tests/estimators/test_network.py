"""Networks behind the estimator contract: tiles, missing data, flags, digests."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import xsubpix
from xsubpix.errors import ModelError
from xsubpix.estimators import Flag, create
from xsubpix.estimators.network import Network
from xsubpix.networks import available_networks, build_network, shipped_models
from xsubpix.networks.box import Box
from xsubpix.networks.views import VIEWS
from xsubpix.networks.weights import save_network


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small network with random weights, large enough that its flow varies."""
    torch.manual_seed(1)
    network = build_network("unet", width=0.125)
    with torch.no_grad():
        network.leave.weight *= 3
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_network(path, network)
    return str(path)


OPTIONS = {"tile_size": 64, "ensemble": 1}


@pytest.fixture(scope="module")
def expected(weights, pair):
    """Result of the pair in memory."""
    return xsubpix.correlate(*pair, model=weights, **OPTIONS)


def test_chunks_do_not_matter(weights, chunked, pair, identical, expected):
    """Results tied to chunks could not be repeated."""
    identical(xsubpix.correlate(*chunked(*pair), model=weights, **OPTIONS).compute(), expected)


@pytest.fixture(scope="module")
def full_field(weights, scene, image):
    """A pair, and its value at every pixel."""
    pre, post = image(scene((150, 150))), image(scene((150, 150), (1.0, 0.5)))
    return pre, post, xsubpix.correlate(pre, post, model=weights, ensemble=1)


@pytest.mark.parametrize("step", [1, 2, 5, 16, 70])
def test_steps_sample_the_full_field(weights, full_field, step):
    """Values at a step would lie at other places than they say."""
    pre, post, full = full_field
    some = xsubpix.correlate(pre, post, model=weights, ensemble=1, step=step)
    low, high = (step - 1) // 2, step // 2
    rows, cols = some.east.shape
    places = [(i, j) for i in (low, high) for j in (low, high)]
    mean = np.mean([full.east.values[i::step, j::step][:rows, :cols] for i, j in places], axis=0)
    # Corners have no values; tiles on another grid see the ground cut otherwise, which a
    # random network feels.
    told = np.isfinite(mean)
    assert told.mean() > 0.9
    np.testing.assert_allclose(some.east.values[told], mean[told], atol=0.15)


def test_missing_where_the_square_is_half_empty(weights, scene, image):
    """Displacement would be invented under nodata, or lost around it."""
    pixels = scene((140, 140))
    holed = pixels.copy()
    holed[60:90, 50:80] = np.nan
    disp = xsubpix.correlate(image(holed), image(pixels), model=weights, **OPTIONS)
    assert np.isnan(disp.east.values[65:85, 55:75]).all()
    assert (disp.flags.values[65:85, 55:75] == Flag.NODATA).all()
    assert np.isfinite(disp.east.values[5:55, 5:-5]).all()
    nothing = xsubpix.correlate(image(pixels * np.nan), image(pixels), model=weights, **OPTIONS)
    assert nothing.east.isnull().all()


@pytest.mark.skipif("unet" not in shipped_models(), reason="no weights in this build")
def test_gain_and_offset_do_not_matter(scene, image):
    """Counts and reflectance of one image would move differently."""
    pre, post = scene((100, 100)), scene((100, 100), (0.5, 0.0))
    one = xsubpix.correlate(image(pre), image(post), model="unet")
    two = xsubpix.correlate(image(pre * 1e-4 + 3), image(post * 50), model="unet")
    assert float(np.abs(one.east - two.east).max()) < 0.05


@pytest.mark.parametrize("view", VIEWS)
def test_views_keep_the_signs(view):
    """A view with a wrong sign would be averaged into a wrong field."""
    rng = np.random.default_rng(0)
    flow = torch.from_numpy(rng.normal(size=(1, 2, 8, 8)).astype(np.float32))
    # What a perfect network would see: the flow of the turned ground.
    turned = view.apply(flow)
    if view.transpose:
        turned = turned.flip(1)
    reversed_x, reversed_y = (-1.0 if d in view.reverse else 1.0 for d in (3, 2))
    seen = turned * torch.tensor([reversed_x, reversed_y]).reshape(1, 2, 1, 1)
    back = view.undo(seen)
    back = (back.flip(1) if view.transpose else back) * torch.tensor(view.signs).reshape(1, 2, 1, 1)
    torch.testing.assert_close(back, flow)
    image = torch.arange(48.0).reshape(1, 1, 6, 8)
    top, bottom, left, right = view.box(Box(1, 4, 2, 7), image.shape)
    part = view.apply(image)[..., top:bottom, left:right]
    torch.testing.assert_close(part, view.apply(image[..., 1:4, 2:7]))


@pytest.mark.parametrize("name", available_networks())
def test_every_architecture_runs_on_a_scene(name, tmp_path, scene, image):
    """A new network must get tiles, masks and labels for nothing."""
    torch.manual_seed(0)
    save_network(tmp_path / "net.safetensors", build_network(name, width=0.0625))
    disp = xsubpix.correlate(
        image(scene((90, 70))), image(scene((90, 70))), model=tmp_path / "net.safetensors",
        tile_size=64, step=2,
    )  # fmt: skip
    assert disp.east.shape == (45, 35)
    assert np.isfinite(disp.east.values[5:-5, 5:-5]).all()
    # The network's own, or that of the images.
    assert np.isfinite(disp.sigma.values[5:-5, 5:-5]).all()
    assert disp.attrs["model"] == name


def test_estimators_hold_names_not_weights(weights):
    """A graph of ten thousand tasks would carry the weights ten thousand times."""
    estimator = create(weights, step=2)
    assert len(pickle.dumps(estimator)) < 2000
    again = pickle.loads(pickle.dumps(estimator))
    assert again == estimator
    assert again.card["architecture"] == "unet"


def test_changed_file_is_noticed(weights, tmp_path, scene, image):
    """A field would name the digest of other weights."""
    path = tmp_path / "net.safetensors"
    path.write_bytes(Path(weights).read_bytes())
    estimator = create(str(path))
    torch.manual_seed(5)
    save_network(path, build_network("unet", width=0.125))
    pixels = image(scene((64, 64)))
    with pytest.raises(ModelError, match="changed"):
        xsubpix.correlate(pixels, pixels, model=estimator)
    with pytest.raises(ModelError, match="asked"):
        Network(weights=str(path), digest=estimator.digest)


def test_bad_requests_are_refused(weights, tmp_path):
    """One clear line each."""
    with pytest.raises(ModelError, match="no such file"):
        create("absent.safetensors")
    with pytest.raises(ModelError, match="ensemble=3"):
        create(weights, ensemble=3)
    with pytest.raises(ModelError, match="tile_size=8"):
        create(weights, tile_size=8)
    with pytest.raises(ModelError, match="it takes"):
        create(weights, regularisation=2)
    (tmp_path / "x.safetensors").write_bytes(b"no")
    with pytest.raises(ModelError, match="not a safetensors"):
        create(tmp_path / "x.safetensors").halo  # noqa: B018


@pytest.mark.skipif("unet" not in shipped_models(), reason="no weights in this build")
class TestShipped:
    """What the weights of the package promise."""

    def test_finds_a_rupture(self, scene, image):
        """The default of a published figure must be right on the simplest scene."""
        size = 256
        ground = image(scene((size, size)))
        rows, cols = np.indices((size, size))
        dx = np.zeros((size, size), np.float32)
        dy = np.where(cols + 0.1 * rows > 140, 0.6, -0.6).astype(np.float32)
        moved = xsubpix.warp_quintic(ground, (dx, dy))
        disp = xsubpix.correlate(ground, moved, model="unet")
        error = np.hypot(disp.east.values - dx, disp.north.values - dy)[32:-32, 32:-32]
        assert np.nanmean(error) < 0.1
        assert disp.attrs["model"] == "unet"

    def test_tiles_meet_without_seams(self, scene, image):
        """Tiles would show in the field and in its strain."""
        pre = image(scene((640, 640)))
        noise = np.random.default_rng(0).normal(0, 8, (640, 640)).astype(np.float32)
        post = image(scene((640, 640), (0.4, -0.3)) + noise)
        small, large = (
            xsubpix.correlate(pre, post, model="unet", tile_size=w, ensemble=1) for w in (256, 640)
        )
        length = np.hypot(small.east - large.east, small.north - large.north)
        assert float(length.quantile(0.999)) < 0.004
        assert float(np.sqrt((length**2).mean())) < 0.001

    def test_sigma_is_large_where_nothing_matches(self, scene, image):
        """A cloud would get a confident number; what lies around it tells of it, if less."""
        pre, post = scene((256, 256)), scene((256, 256), (0.3, 0.1))
        post[100:180, 90:170] = scene((80, 80), seed=9)
        disp = xsubpix.correlate(image(pre), image(post), model="unet")
        inside = float(disp.sigma[120:160, 110:150].median())
        outside = float(disp.sigma[20:80, 20:80].median())
        assert inside > 2 * outside

    def test_large_displacements_get_a_first_guess(self, scene, image):
        """Beyond what was trained, numbers would be wrong without a word."""
        pre, post = image(scene((256, 256))), image(scene((256, 256), (11.0, -6.0)))
        disp = xsubpix.correlate(pre, post, model="unet", search=16, step=8)
        inner = disp.isel(y=slice(6, -6), x=slice(6, -6))
        assert float(np.abs(inner.east - 11).max()) < 0.2
        assert float(np.abs(inner.north + 6).max()) < 0.2

    @pytest.mark.parametrize(("moved", "search"), [(5, None), (9, None), (30, None), (30, 48)])
    def test_large_motion_is_found_or_flagged(self, scene, image, moved, search):
        """A user who does not know how far the ground moved would get a wrong field."""
        whole = scene((440, 440))
        pre, post = image(whole[:384, :384]), image(whole[:384, moved:][:, :384])
        far = xsubpix.correlate(pre, post, model="unet", search=search)
        inner = far.isel(y=slice(32, -32), x=slice(32 + moved, -32))
        wrong = np.hypot(inner.east + moved, inner.north) > 0.5
        assert float((wrong & (inner.flags == 0)).mean()) < 0.01
        if moved < 10 or search:
            assert float(wrong.mean()) < 0.05

    def test_what_cannot_be_found_is_said_to_be_unknown(self, scene, image):
        """A confident wrong number is published; a large sigma and a flag are looked at."""
        pre, post = image(scene((300, 300), seed=1)), image(scene((300, 300), seed=2))
        far = xsubpix.correlate(pre, post, model="unet")
        flagged = far.flags & Flag.OUT_OF_RANGE != 0
        assert float(flagged.mean()) > 0.9


def test_dask_gets_the_same_name_for_the_same_weights(weights, scene, image):
    """Distributed workers would compute again what is there."""
    pre, post = (image(scene((64, 64), s)).chunk(32) for s in ((0, 0), (1, 0)))
    one, two = (xsubpix.correlate(pre, post, model=weights, **OPTIONS).east for _ in range(2))
    assert one.data.name == two.data.name
    assert isinstance(one, xr.DataArray)


def test_data_that_end_askew_keep_what_is_missing_around_them():
    """Tiles beside a slanted border would be cut at different distances from it, and not meet."""
    from xsubpix.estimators.network import _part_with_data

    valid = np.ones((256, 256), bool)
    valid[:, :40] = False
    straight = _part_with_data(valid, 16, 64)
    assert straight.box.cols == slice(32, 256)
    rows, cols = np.indices(valid.shape)
    askew = _part_with_data(cols > 100 + rows // 4, 16, 64)
    assert askew.box.cols == slice(32, 256)
    assert askew.box.rows == slice(0, 256)
    assert _part_with_data(np.zeros_like(valid), 16, 64) is None


@pytest.mark.parametrize(("shift", "noise"), [((1.3, -0.7), 0.0), ((-3.4, 2.2), 6.0)])
def test_what_the_border_costs_is_in_sigma(scene, image, shift, noise):
    """Errors within 16 px of the border are larger, and were believed as the others are."""
    grain = np.random.default_rng(2).normal(0, noise, (2, 96, 96)).astype("f4")
    pre, post = image(scene((96, 96)) + grain[0]), image(scene((96, 96), shift) + grain[1])
    disp = xsubpix.correlate(pre, post, model="unet", ensemble=1, step=2)
    off = np.maximum(abs(disp.east - shift[0]), abs(disp.north - shift[1])).values
    flags, sigma = disp.flags.values, disp.sigma.values
    at = np.minimum(np.arange(48), np.arange(48)[::-1])
    border = np.minimum(at[:, None], at) < 7
    assert (flags[border] & Flag.EDGE).all()
    assert not (flags[~border & (np.minimum(at[:, None], at) > 8)] & Flag.EDGE).any()
    believed = (flags & ~Flag.EDGE) == 0
    assert believed[border].mean() > 0.5
    assert not (believed & (off > 0.5) & (off > 5 * sigma)).any()
    assert np.nanmedian(sigma[border]) > np.nanmedian(sigma[~border])
    # Of the larger of two components, so fewer than 95 %.
    assert (off < 2 * sigma)[border & believed].mean() > 0.7
