"""Second dates: reproducible, in units, at the correlation asked for, and like real ones."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xsubpix.database.registration import measure_misregistration, resample_quintic
from xsubpix.database.statistics import local_correlation, residual_spectrum
from xsubpix.errors import DataError, DimensionError
from xsubpix.second_date import (
    DetectorJitter,
    ImageStatistics,
    SecondDate,
    correlation_at_gap,
)
from xsubpix.second_date.landcover import land_cover, parcels
from xsubpix.second_date.noise import coloured_noise, smooth_field
from xsubpix.second_date.sharpness import blur, noise_level, point_spread

DATA = Path(os.environ.get("XSUBPIX_DATA", "../shared/data"))


def clear(date):
    """The same second date without clouds and haze, which the aim does not count."""
    return date.without("cloud", "haze")


@pytest.mark.parametrize("bands", [1, 6])
def test_same_seed_same_bytes(bands, fields):
    """If it failed, a database could not be rebuilt, nor resumed after a kill."""
    image = fields(bands=bands) if bands > 1 else fields()[3]
    made = []
    for seed in (4, 4, 5):
        date = SecondDate.random(np.random.default_rng(seed), bands=bands)
        made.append((date, date.apply(image)))
    assert made[0][0] == made[1][0]
    assert made[0][1].tobytes() == made[1][1].tobytes()
    assert made[0][0] != made[2][0]
    assert not np.array_equal(made[0][1], made[2][1])


def test_description_survives_json(fields):
    """If it failed, the table of a database could not say how a sample was made."""
    date = SecondDate.random(np.random.default_rng(0), bands=6)
    again = SecondDate.from_dict(json.loads(json.dumps(date.to_dict())))
    assert again == date
    image = fields()
    assert again.apply(image).tobytes() == date.apply(image).tobytes()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bands=st.sampled_from([1, 2, 6]))
def test_any_draw_gives_a_usable_image(seed, bands, fields):
    """If it failed, one sample in thousands would poison training with NaN or negative counts."""
    image = fields((96, 130), bands, seed % 7)
    if bands == 1:
        image = image[0]
    image[..., 40:44, 60:70] = np.nan
    image = np.maximum(image, 0)
    date = SecondDate.random(np.random.default_rng(seed), (0.0, 0.99), bands=bands, cloudy=0.5)
    before, after = date.before(image), date.apply(image)
    assert before.dtype == after.dtype == np.float32
    assert before.shape == after.shape == (96, 130)
    missing = np.isnan(image) if bands == 1 else np.isnan(image).any(axis=0)
    np.testing.assert_array_equal(np.isnan(after), missing)
    np.testing.assert_array_equal(np.isnan(before), missing)
    assert np.nanmin(before) >= -1e-4 * np.nanmax(before)
    assert np.nanmin(after) >= 0
    assert np.nanstd(after) > 0
    assert 0.1 < np.nanmean(after) / np.nanmean(before) < 10


@pytest.mark.parametrize("bands", [1, 6])
def test_correlation_is_the_one_asked_for(bands, fields):
    """If it failed, easy and hard samples could not be dosed."""
    image = fields((256, 256)) if bands > 1 else fields((256, 256))[0]
    errors = []
    for seed in range(24):
        date = clear(SecondDate.random(np.random.default_rng(seed), (0.5, 0.95), bands=bands))
        rho = np.nanmean(local_correlation(date.before(image), date.apply(image)))
        errors.append(rho - date.correlation)
    assert np.median(np.abs(errors)) < 0.03
    assert np.mean(np.abs(errors) < 0.08) > 0.85


def test_ground_does_not_move(fields):
    """If it failed, every label of the training data would be off by a hidden shift."""
    image = fields((256, 256))
    shifts = []
    for seed in range(24):
        date = clear(SecondDate.random(np.random.default_rng(seed), (0.7, 0.95), bands=6))
        found = measure_misregistration(date.before(image), date.apply(image), degree=0)
        shifts.append((found.coefficients_x[0], found.coefficients_y[0]))
    assert np.abs(np.median(shifts, axis=0)).max() < 0.01
    assert np.quantile(np.hypot(*np.transpose(shifts)), 0.9) < 0.08


def test_contrast_reverses_in_parcels(fields):
    """If it failed, networks would again be worse than zero on real pairs."""
    image = fields((256, 256))
    reversed_share = {}
    for aim in (0.6, 0.93):
        shares = []
        for seed in range(12):
            date = clear(SecondDate.random(np.random.default_rng(seed), (aim, aim), bands=6))
            small = local_correlation(date.before(image), date.apply(image), 8)
            shares.append(np.mean(small < -0.3))
        reversed_share[aim] = float(np.median(shares))
    assert 0.01 < reversed_share[0.6] < 0.2
    assert reversed_share[0.93] < 0.01


def test_units_of_the_image_are_kept(fields):
    """If it failed, reflectances from 0 to 1 and 16-bit counts would be changed differently."""
    image = fields()[0]
    date = SecondDate.random(np.random.default_rng(11))
    counts = date.apply(image)
    scaled = date.apply(image * np.float32(1 / 1024))
    # Rounding to counts may fall the other way in a few pixels.
    difference = np.abs(scaled * 1024 - counts)
    assert np.quantile(difference, 0.99) < 1e-3 * counts.std()


def test_acquisition_follows_the_change_and_stays_with_the_sensor(fields):
    """If it failed, noise would move with the ground: a cue that real pairs do not have."""
    image = fields()[0]
    date = clear(SecondDate.random(np.random.default_rng(2)))
    date = date.without("optics", "jitter", "stripes", "counts")
    date = date.with_effect(dataclasses.replace(date["noise"], white=1.0))
    ground = date.change_surface(image)
    np.testing.assert_array_equal(date.acquire(ground), date.apply(image))
    rolled = np.roll(ground, 7, axis=1)
    noise, other = date.acquire(ground) - ground, date.acquire(rolled) - rolled
    assert np.corrcoef(noise.ravel(), other.ravel())[0, 1] > 0.95


def test_first_date_may_be_another_image(fields):
    """If it failed, panchromatic chips could not be paired with their multispectral bands."""
    image = fields()
    pan = image[:4].mean(axis=0) * 2
    date = clear(SecondDate.random(np.random.default_rng(1), (0.8, 0.8), bands=6))
    after = date.apply(image, pan)
    assert np.nanmean(local_correlation(pan, after)) == pytest.approx(0.8, abs=0.06)
    assert after.mean() == pytest.approx(pan.mean(), rel=0.6)


def test_a_single_image_is_its_own_first_date(fields):
    """If it failed, real frames would be altered before anything is done to them."""
    image = fields()[2]
    np.testing.assert_array_equal(SecondDate.random(np.random.default_rng(0)).before(image), image)


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0])
def test_constant_image_stays_finite(value):
    """If it failed, a tile of open water would divide by zero."""
    date = SecondDate.random(np.random.default_rng(3))
    assert np.isfinite(date.apply(np.full((64, 64), value, np.float32))).all()


def test_unusable_input_is_refused():
    """If it failed, a wrong stack of bands would be mixed with wrong weights."""
    rng = np.random.default_rng(0)
    date = SecondDate.random(rng, bands=6)
    with pytest.raises(DimensionError, match="bands=4"):
        date.apply(np.zeros((4, 64, 64)))
    with pytest.raises(DimensionError, match="at least 32"):
        date.apply(np.zeros((6, 64, 31)))
    with pytest.raises(DimensionError, match="give"):
        date.apply(np.zeros(64))
    with pytest.raises(DimensionError, match="missing"):
        date.apply(np.full((6, 64, 64), np.nan))
    with pytest.raises(DataError, match="low <= high"):
        SecondDate.random(rng, (0.9, 0.5))


def test_nothing_is_acquired_of_nothing():
    """If it failed, an empty border tile would stop a database after hours."""
    date = SecondDate.random(np.random.default_rng(0))
    assert np.isnan(date.acquire(np.full((40, 40), np.nan, np.float32))).all()


def test_more_days_less_correlation():
    """If it failed, `days` would not mean time between dates."""
    rng = np.random.default_rng(0)
    medians = [
        np.median([correlation_at_gap(days, rng) for _ in range(400)]) for days in (6, 50, 300, 900)
    ]
    assert np.all(np.diff(medians) < 0)
    aims = [SecondDate.random(rng, (0.3, 0.8), days=8).correlation for _ in range(50)]
    assert max(aims) == 0.8
    assert min(aims) >= 0.3


def test_causes_are_shares():
    """If it failed, one cause could crowd out the others unseen."""
    rng = np.random.default_rng(0)
    shares = np.array([list(SecondDate.random(rng, bands=6).shares.values()) for _ in range(300)])
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert (shares.max(axis=0) > 0.5).all()
    single = SecondDate.random(rng)
    assert single.shares["mixing"] == 0


def test_land_cover_finds_covers_and_their_mixtures():
    """If it failed, changes would not follow parcels."""
    image = np.zeros((3, 80, 80), np.float32)
    image[0, :, 40:] = 2.0
    image[1, 40:] = 2.0
    image += np.random.default_rng(0).normal(0, 0.05, image.shape).astype(np.float32)
    cover = land_cover(image, 4, np.random.default_rng(1))
    np.testing.assert_allclose(cover.membership.sum(axis=0), 1.0, rtol=1e-5)
    label = cover.membership.argmax(axis=0)
    quadrants = [label[a, b] for a in (np.s_[:36], np.s_[44:]) for b in (np.s_[:36], np.s_[44:])]
    kinds = [np.bincount(q.ravel(), minlength=4).argmax() for q in quadrants]
    assert len(set(kinds)) == 4
    for quadrant, kind in zip(quadrants, kinds, strict=True):
        assert np.mean(quadrant == kind) > 0.99
    parcel = parcels(cover, (1000.0, 1000.0), 0.3, np.random.default_rng(2))
    inner = [parcel[a, b] for a in (np.s_[:36], np.s_[44:]) for b in (np.s_[:36], np.s_[44:])]
    common = {int(np.bincount(p.ravel()).argmax()) for p in inner}
    assert len(common) == 4


def test_fields_of_noise_have_the_spectrum_asked_for():
    """If it failed, haze would be grain and grain would be haze."""
    rng = np.random.default_rng(0)
    shape = (256, 256)
    for exponent in (0.0, 2.0):
        noise = coloured_noise(shape, exponent, rng)
        assert noise.std() == pytest.approx(1.0, abs=1e-3)
        total = residual_spectrum(rng.normal(size=shape), noise).total
        ratio = total[2] / total[10]  # 0.08 and 0.33 cycles per pixel
        assert ratio == pytest.approx((0.333 / 0.083) ** exponent, rel=0.5)
    assert smooth_field(shape, 3.0, rng).shape == shape


def test_optics_and_noise_are_measured_and_applied():
    """If it failed, new edges would be sharper than the image they are put in."""
    rng = np.random.default_rng(0)
    image = coloured_noise((256, 256), 2.0, rng)
    widths = [point_spread(blur(image, sigma)) for sigma in (0.5, 0.8)]
    np.testing.assert_allclose(widths, (0.5, 0.8), atol=0.15)
    assert noise_level(rng.normal(0, 3, (256, 256))) == pytest.approx(3, rel=0.05)
    y, x = np.mgrid[:64, :64]
    assert noise_level(2.0 * x + y) < 1e-9
    sharp = blur(image, -0.5)
    assert sharp.std() > image.std() > blur(image, 0.5).std()
    jittered = DetectorJitter(0.05, 16, True).apply(image, ImageStatistics.of(image), rng)
    np.testing.assert_allclose(jittered.mean(), image.mean(), atol=0.01)


@pytest.mark.skipif(not (DATA / "two_dates").is_dir(), reason="XSUBPIX_DATA has no two_dates")
def test_simulated_dates_bracket_a_real_one():
    """If it failed, networks would be trained on changes that do not happen."""
    rasterio = pytest.importorskip("rasterio")
    images = []
    for date in ("20000317", "20030206"):
        with rasterio.open(DATA / "two_dates" / f"taizhou_{date}.tif") as source:
            images.append(source.read().astype(np.float32))
    bands, band = images[0], 3
    shift = measure_misregistration(bands[band], images[1][band])
    inner = np.s_[8:-8, 8:-8]
    real = resample_quintic(images[1][band], *shift.field())[inner]
    bands = bands[:, 8:-8, 8:-8]

    def described(second):
        rho = local_correlation(bands[band], second)
        spectrum = residual_spectrum(bands[band], second)
        uncommon = (spectrum.residual / spectrum.total)[[0, 4, 8, 12]]
        return np.concatenate([np.nanquantile(rho, (0.1, 0.5, 0.9)), uncommon])

    aim = float(np.nanmean(local_correlation(bands[band], real)))
    rng = np.random.default_rng(0)
    mix = tuple(float(k == band) for k in range(6))
    made = []
    for _ in range(24):
        drawn = SecondDate.random(rng, (aim - 0.04, aim + 0.04), bands=6)
        made.append(described(clear(dataclasses.replace(drawn, before_mix=mix)).apply(bands)))
    assert (described(real) > np.min(made, axis=0)).all()
    assert (described(real) < np.max(made, axis=0)).all()
