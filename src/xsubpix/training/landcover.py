"""Land covers of an image and the parcels they are divided in.

Between two dates the ground changes by what grows on it: all water alike, one
field and not its neighbour. The kernels here say which cover a pixel belongs
to, softly, because a pixel on a border is a mixture and its change is one too;
a hard class map would move borders to the pixel grid.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.cluster.vq
import scipy.ndimage

__all__ = ["LandCover", "land_cover", "parcels"]

# Pixels that the clusters are learned from: enough for twelve of them, and cheap.
_SAMPLE = 4000


class LandCover(NamedTuple):
    """Soft classes of an image.

    Attributes
    ----------
    membership : numpy.ndarray of float32
        Shape ``(k, h, w)``, non-negative, sums to one over the classes.
    centres : numpy.ndarray of float32
        Shape ``(k, bands)``: each class's value in the bands given.
    label : numpy.ndarray of uint8
        Shape ``(h, w)``: class of largest membership.
    """

    membership: np.ndarray
    centres: np.ndarray
    label: np.ndarray


def land_cover(
    bands: np.ndarray, classes: int, rng: np.random.Generator, *, softness: float = 0.35
) -> LandCover:
    """Cluster the pixels of an image by their bands (k-means, soft borders).

    The features are the bands; where there are fewer than three, their local
    mean and local contrast are added, which tell a textured cover from a smooth
    one of the same brightness. Classes are those of k-means (Lloyd, seeded by
    k-means++) on a sample; memberships are a softmax of squared distances.

    Parameters
    ----------
    bands : numpy.ndarray of float32
        Shape ``(bands, h, w)``, finite, each of about zero mean and unit
        variance.
    classes : int
        Number of classes.
    rng : numpy.random.Generator
        Draws the sample and the first centres.
    softness : float
        Width of the transition between classes, in units of the mean distance
        of a pixel from its own class's centre.

    Returns
    -------
    LandCover
    """
    height, width = bands.shape[1:]
    features = _features(bands).reshape(-1, height * width)
    pixels = rng.integers(0, height * width, _SAMPLE)
    sample = np.ascontiguousarray(features[:, pixels].T)
    centres = _k_means(sample, classes, rng)
    own = ((sample[:, None, :] - centres[None]) ** 2).sum(axis=2).min(axis=1).mean()
    scale = 1.0 / max(2.0 * float(own) * softness, 1e-6)

    # The pixel's own square is the same for all classes: it drops out of the softmax.
    logits = (centres @ features) * np.float32(2 * scale)
    logits -= ((centres**2).sum(axis=1) * np.float32(scale))[:, None]
    label = logits.argmax(axis=0).astype(np.uint8)
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    membership = logits.reshape(len(centres), height, width)
    return LandCover(membership, centres[:, : len(bands)], label.reshape(height, width))


def parcels(
    label: np.ndarray, size: tuple[float, float], angle: float, rng: np.random.Generator
) -> np.ndarray:
    """Divide land covers into parcels: bent, turned rows of fields.

    Two pixels belong to one parcel when they have the same class and lie in the
    same field. The fields are a brick pattern, each row shifted and
    stretched by itself, turned by `angle` and bent by a smooth wave, so that
    straight borders that no image has yet shown cut through the classes, as
    harvests and clearings do.

    Parameters
    ----------
    label : numpy.ndarray of uint8
        Classes, shape ``(h, w)``.
    size : tuple of float
        Length and breadth of a field, pixels.
    angle : float
        Direction of the rows, radians from the columns' axis.
    rng : numpy.random.Generator
        Draws shifts, stretches and the wave.

    Returns
    -------
    numpy.ndarray of uint16
        Shape ``(h, w)``: numbers below 4096; different parcels may share one.
    """
    height, width = label.shape
    y = np.arange(height, dtype=np.float32)[:, None]
    x = np.arange(width, dtype=np.float32)[None, :]
    wave = rng.uniform(0.0, 0.15, 2) * size
    turn = 2 * np.pi / rng.uniform(4.0, 12.0, 2) / size
    phase = rng.uniform(0, 2 * np.pi, 2)
    along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    across = y * np.float32(np.cos(angle)) - x * np.float32(np.sin(angle))
    along += np.float32(wave[0]) * np.sin(y * np.float32(turn[0]) + np.float32(phase[0]))
    across += np.float32(wave[1]) * np.sin(x * np.float32(turn[1]) + np.float32(phase[1]))

    table = 512
    start = rng.uniform(0, 1, table).astype(np.float32)
    stretch = rng.uniform(0.4, 1.6, table).astype(np.float32)
    row = np.floor(across / np.float32(size[1])).astype(np.int32)
    slot = row & (table - 1)
    field = np.floor(along / (np.float32(size[0]) * stretch[slot]) + start[slot]).astype(np.int32)
    # Any mixing of the three numbers serves, as long as neighbours fall far apart.
    mixed = row * 73856093 ^ field * 19349663 ^ label.astype(np.int32) * 83492791
    return ((mixed ^ (mixed >> 13)) & 4095).astype(np.uint16)


def _k_means(sample: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """Centres by Lloyd's algorithm from k-means++ seeds (Arthur & Vassilvitskii 2007)."""
    centres = sample[rng.integers(0, len(sample), 1)]
    nearest = ((sample - centres[0]) ** 2).sum(axis=1, dtype=np.float64)
    while len(centres) < classes and nearest.sum() > 0:
        centre = sample[rng.choice(len(sample), p=nearest / nearest.sum())]
        centres = np.vstack([centres, centre])
        nearest = np.minimum(nearest, ((sample - centre) ** 2).sum(axis=1))
    for _ in range(8):
        label, _ = scipy.cluster.vq.vq(sample, centres)
        for k in range(len(centres)):
            members = sample[label == k]
            if len(members):
                centres[k] = members.mean(axis=0)
    return centres


def _features(bands: np.ndarray) -> np.ndarray:
    """Bands, slightly smoothed, and for few bands their local mean and contrast."""
    smooth = np.stack([scipy.ndimage.gaussian_filter(b, 0.7, truncate=2.5) for b in bands])
    if len(bands) >= 3:
        return smooth
    extra = []
    for band in bands:
        mean = scipy.ndimage.uniform_filter(band, 9)
        contrast = np.sqrt(np.maximum(scipy.ndimage.uniform_filter(band**2, 9) - mean**2, 0))
        contrast -= contrast.mean()
        extra += [mean, contrast / np.maximum(contrast.std(), np.float32(1e-6))]
    return np.concatenate([smooth, np.stack(extra)])
