"""Flags of what nothing supports, found from the images and the result alone."""

import numpy as np
import pytest
from scipy import ndimage

import xsubpix
from xsubpix.estimators import Flag
from xsubpix.estimators.doubt import doubts
from xsubpix.estimators.likeness import flat_in_one

GEOMETRY = {"halo": 40, "step": 4}
SIZE = (176, 176)
OUTPUTS = (24, 24)


def judged(pre, post, shift=(0.0, 0.0), **options):
    dx, dy = (np.full(OUTPUTS, s, "f4") for s in shift)
    return doubts(pre, post, dx, dy, **GEOMETRY, **options)


def test_ground_that_is_found_is_not_doubted(scene):
    """Else right values are flagged."""
    pre, post = scene(SIZE), scene(SIZE, (3.0, -2.0))
    assert not judged(pre, post, (3.0, -2.0)).any()
    noise = np.random.default_rng(0).normal(0, 10, (2, *SIZE)).astype("f4")
    assert not judged(pre + noise[0], post + noise[1], (3.0, -2.0)).any()


def test_ground_that_repeats_itself(scene):
    """Two equal peaks: 48 to 94 % wrong and unflagged."""
    y, x = np.indices(SIZE)
    furrows = (100 + 20 * np.sin(x * 2 * np.pi / 7) * np.sin(y * 2 * np.pi / 7)).astype("f4")
    rough = furrows + 0.2 * (scene(SIZE) - 100)
    assert (judged(rough, rough) == Flag.AMBIGUOUS).all()
    # A search that no other furrow lies in leaves one place.
    assert not judged(rough, rough, search=2.0).any()


def test_a_fault_is_no_repetition(scene):
    """The other side of a fault is found elsewhere, as it should be."""
    pre, post = scene(SIZE), scene(SIZE, (0.0, 6.0))
    post[:88] = scene(SIZE)[:88]
    dx = np.zeros(OUTPUTS, "f4")
    dy = np.where(np.arange(24)[:, None] < 12, 0.0, 6.0) * np.ones((1, 24))
    assert not (doubts(pre, post, dx, dy.astype("f4"), **GEOMETRY) & Flag.AMBIGUOUS).any()


def test_other_ground_and_wrong_places(scene):
    """dis, deepflow and tvl1 left all of it unflagged."""
    pre = scene(SIZE)
    assert (judged(pre, scene(SIZE, seed=5)) == Flag.NOT_CONVERGED).all()


def test_clouds_that_a_field_bends_to(scene):
    """`dis` left half of a textured cloud unflagged: it resembled what it was bent to."""
    rng = np.random.default_rng(3)
    y, x = np.indices(SIZE)
    covered = np.hypot(y - 88, x - 88) < 30
    pre, post = scene(SIZE), scene(SIZE, (1.3, 0.0))
    post[covered] = scene(SIZE, seed=8)[covered]
    dx = np.full(OUTPUTS, 1.3, "f4")
    at = GEOMETRY["halo"] + GEOMETRY["step"] * np.arange(24) + 1.5
    under = np.hypot(at[:, None] - 88, at - 88) < 24
    bent = ndimage.gaussian_filter(rng.normal(0, 8, (2, *OUTPUTS)), (0, 1, 1)).astype("f4")
    dy = np.where(under, bent[0], 0.0).astype("f4")
    dx = np.where(under, 1.3 + bent[1], dx)
    flagged = doubts(pre, post, dx, dy, **GEOMETRY) & Flag.NOT_CONVERGED
    assert (flagged[under] != 0).mean() > 0.85
    beside = np.hypot(at[:, None] - 88, at - 88) > 46
    assert not flagged[beside].any()
    # A regularised model carries what is under the cloud beyond its rim.
    wide = doubts(pre, post, dx, dy, reach=12.0, **GEOMETRY) & Flag.NOT_CONVERGED
    assert (wide[np.hypot(at[:, None] - 88, at - 88) < 32] != 0).mean() > 0.96
    # What left the median of its surroundings is flagged without that too.
    wrong = under & (np.maximum(abs(dx - 1.3), abs(dy)) > 0.5)
    assert (flagged[wrong] != 0).mean() > 0.97


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_faults_stay_as_they_are(scene, noise):
    """What leaves the median beside a fault is right where the images resemble each other."""
    grain = np.random.default_rng(0).normal(0, noise, (2, *SIZE)).astype("f4")
    pre, post = scene(SIZE), scene(SIZE, (0.0, 1.5))
    # A splay, narrower than the median reaches.
    y = np.arange(SIZE[0])[:, None]
    moved = (y >= 80) & (y < 96)
    post = np.where(moved, post, scene(SIZE)).astype("f4")
    at = GEOMETRY["halo"] + GEOMETRY["step"] * np.arange(24) + 1.5
    dy = np.where((at >= 80) & (at < 96), 1.5, 0.0)[:, None] * np.ones((1, 24))
    dx = np.zeros(OUTPUTS, "f4")
    flags = doubts(pre + grain[0], post + grain[1], dx, dy.astype("f4"), **GEOMETRY)
    assert (flags & Flag.NOT_CONVERGED != 0).mean() < 0.05


def test_flat_clouds(scene):
    """Ground with texture, matched with none, is no match."""
    pre, post = scene(SIZE), scene(SIZE)
    post[:88] = 180.0
    dx, dy = np.zeros((2, *OUTPUTS), "f4")
    flagged = doubts(pre, post, dx, dy, **GEOMETRY) & Flag.NOT_CONVERGED
    assert flagged[:9].all()
    assert not flagged[17:].any()


def test_the_rim_of_a_flat_cloud(scene):
    """`dis`, `tvl1`, `phase` and `window-cnn` were wrong there without a word."""
    y, x = np.indices(SIZE)
    pre, post = scene(SIZE), scene(SIZE)
    share = 1 / (1 + np.exp((np.hypot(y - 88, x - 88) - 32) / 3))
    cloudy = (post * (1 - share) + 180 * share).astype("f4")
    at = GEOMETRY["halo"] + GEOMETRY["step"] * np.arange(24) + 1.5
    distance = np.hypot(at[:, None] - 88, at - 88)
    for one, two in ((pre, cloudy), (cloudy, pre)):
        # Models whose own sigma tells are flagged too.
        for reach in (0.0, None):
            flagged = judged(one, two, reach=reach, support=16) & Flag.NOT_CONVERGED != 0
            assert flagged[distance < 36].all()
            assert not flagged[distance > 60].any()
    # Ground that is flat in both, as water, is no cloud.
    assert not (judged(cloudy, cloudy, reach=None, support=16) & Flag.NOT_CONVERGED).any()


@pytest.mark.parametrize(
    "holes",
    [
        lambda y, x: y % 3 == 0, lambda y, x: y % 2 == 0, lambda y, x: x % 12 < 6,
        lambda y, x: (y // 4 + x // 4) % 2 == 0,
        lambda y, x: np.random.default_rng(0).random(y.shape) < 0.45,
    ],
)  # fmt: skip
def test_patterns_of_holes(scene, holes):
    """The mask's own texture was matched: 88 to 100 % of unflagged values wrong."""
    hidden = holes(*np.indices(SIZE))
    pre, post = (np.where(hidden, np.nan, s) for s in (scene(SIZE), scene(SIZE, (1.3, 0.0))))
    assert (judged(pre, post, (0.0, 0.0)) & Flag.NOT_CONVERGED).all()
    assert not (judged(pre, post, (1.3, 0.0), patterns=False)).any()


def test_wedges_are_no_pattern(scene):
    """Landsat-7's gaps since 2003 are wide, and what lies between is measured."""
    hidden = np.indices(SIZE)[0] % 33 < 9
    pre, post = (np.where(hidden, np.nan, s) for s in (scene(SIZE), scene(SIZE, (1.3, 0.0))))
    assert not judged(pre, post, (1.3, 0.0)).any()


@pytest.mark.parametrize("model", ["phase", "cosi-corr", "dis", "unet"])
def test_nothing_to_match(scene, image, model):
    """On two different grounds no value may be left unflagged."""
    if model == "dis":
        pytest.importorskip("cv2")
    pre, post = image(scene((128, 128))), image(scene((128, 128), seed=9))
    disp = xsubpix.correlate(pre, post, model=model, step=8)
    unsure = (disp.flags & 0b111101) != 0
    assert float(unsure.mean()) > 0.95


def test_flags_do_not_depend_on_chunks(scene, image, identical):
    """Blocks lie on the tiles, and tiles on the image."""
    pre, post = image(scene((128, 128))), image(scene((128, 128), seed=9))
    options = {"model": "phase", "window": 16, "step": 8}
    lazy = xsubpix.correlate(pre.chunk({"y": 50, "x": 37}), post, **options)
    identical(xsubpix.correlate(pre, post, **options), lazy)


def test_flat_ground_at_the_border_of_the_images():
    """Else flags grow around snow that is flat in both images where the other one ends."""
    ground = np.random.default_rng(0).normal(size=(160, 160)).astype("f4")
    ground[:80, 40:100] = 7.0
    ground[:40] = np.nan
    moved = np.full((24, 24), -2.0, "f4")
    near = flat_in_one(ground, ground, 0 * moved, moved, halo=32, step=4, support=0)
    # Below, the flat ground ends, and what is taken to have moved did not.
    assert not near[:4].any()
