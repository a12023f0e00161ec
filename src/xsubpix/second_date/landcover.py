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
    band_centres : numpy.ndarray of float32
        Shape ``(k, bands)``: each class's mean in the bands.
    features : numpy.ndarray of float32
        Shape ``(f, h, w)``: what was clustered.
    centres : numpy.ndarray of float32
        Shape ``(k, f)``: each class's centre in the features.
    """

    membership: np.ndarray
    band_centres: np.ndarray
    features: np.ndarray
    centres: np.ndarray


def land_cover(
    bands: np.ndarray, classes: int, rng: np.random.Generator, *, softness: float = 0.35
) -> LandCover:
    """Cluster the pixels of an image by their bands (k-means, soft borders).

    The features are the three leading principal components of the bands,
    slightly smoothed; where there are fewer than three bands, their local mean
    and local contrast, which tell a textured cover from a smooth one of the same
    brightness. Classes are those of k-means on a sample of pixels; memberships
    are a softmax of squared distances.

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
    pixels = rng.integers(0, bands[0].size, _SAMPLE)
    band_sample = bands.reshape(len(bands), -1)[:, pixels]
    features = _features(bands, band_sample)
    sample = np.ascontiguousarray(features.reshape(len(features), -1)[:, pixels].T)
    centres = _k_means(sample, classes, rng)
    square = ((sample[:, None, :] - centres[None]) ** 2).sum(axis=2)
    scale = 1.0 / max(2.0 * float(square.min(axis=1).mean()) * softness, 1e-6)
    own = square.argmin(axis=1)
    count = np.maximum(np.bincount(own, minlength=len(centres)), 1)
    band_centres = np.stack([np.bincount(own, b, len(centres)) / count for b in band_sample], 1)

    logits = _closeness(features, centres)
    logits *= np.float32(2 * scale)
    logits -= logits.max(axis=0)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return LandCover(logits, band_centres.astype(np.float32), features, centres)


def parcels(
    cover: LandCover,
    size: tuple[float, float],
    angle: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Divide land covers into parcels: pieces of one cover, cut by rows of fields.

    Two pixels belong to one parcel when they are connected through one class
    (of the features averaged over 5 pixels, which takes single pixels off) and
    lie in the same field. The fields are a brick pattern, each row shifted and
    stretched by itself, turned by `angle` and bent by a smooth wave: straight
    borders that no image has yet shown cut through the classes, as harvests and
    clearings do.

    Parameters
    ----------
    cover : LandCover
    size : tuple of float
        Length and breadth of a field, pixels.
    angle : float
        Direction of the rows, radians from the columns' axis.
    rng : numpy.random.Generator
        Draws shifts, stretches and the wave.

    Returns
    -------
    numpy.ndarray of uint16
        Shape ``(h, w)``: numbers below 4096; far-off parcels may share one.
    """
    height, width = cover.features.shape[1:]
    smooth = np.stack([scipy.ndimage.uniform_filter(f, 5) for f in cover.features])
    label = _nearest(smooth, cover.centres)
    piece = np.zeros((height, width), np.int32)
    pieces = 0
    for k in range(len(cover.centres)):
        here = label == k
        number, count = scipy.ndimage.label(here)
        np.add(piece, number + np.int32(pieces), out=piece, where=here)
        pieces += count

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
    # Any mixing of the three numbers serves (overflow wraps), if neighbours fall far apart.
    mixed = row * np.int32(73856093) ^ field * np.int32(19349663) ^ piece * np.int32(83492791)
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


def _closeness(features: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Half the squared distance to each centre, negative, less the pixel's own square."""
    flat = features.reshape(len(features), -1)
    closeness = centres @ flat
    closeness -= ((centres**2).sum(axis=1) / 2)[:, None]
    return closeness.reshape(len(centres), *features.shape[1:])


def _nearest(features: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Index of the nearest centre at each pixel (an argmax over classes, done class by class)."""
    closeness = _closeness(features, centres)
    label = np.zeros(features.shape[1:], np.uint8)
    best = closeness[0].copy()
    for k in range(1, len(centres)):
        nearer = closeness[k] > best
        label[nearer] = k
        np.maximum(best, closeness[k], out=best)
    return label


def _features(bands: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """Three smoothed principal components, or each band with its local mean and contrast."""
    if len(bands) >= 3:
        # Columns of u are directions in the space of bands; large components first.
        directions = np.linalg.svd(sample, full_matrices=False)[0][:, :3]
        components = np.tensordot(directions.T.astype(np.float32), bands, 1)
        return np.stack([scipy.ndimage.gaussian_filter(c, 0.7, truncate=2.5) for c in components])
    features = []
    for band in bands:
        mean = scipy.ndimage.uniform_filter(band, 9)
        contrast = np.sqrt(np.maximum(scipy.ndimage.uniform_filter(band**2, 9) - mean**2, 0))
        contrast -= contrast.mean()
        contrast /= max(float(contrast.std()), 1e-6)
        features += [scipy.ndimage.gaussian_filter(band, 0.7, truncate=2.5), mean, contrast]
    return np.stack(features)
