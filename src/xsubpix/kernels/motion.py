"""A smooth motion of a whole image: a polynomial fitted to displacements at scattered places."""

from __future__ import annotations

import dataclasses

import numpy as np

from .robust import nmad, polynomial_terms

__all__ = ["Motion", "MotionFit", "fit_motion", "number_of_terms"]

# Triples of places tried for an affine motion that many places agree with.
TRIALS = 600
# Residuals beyond so many deviations have no weight (Tukey's biweight, 95 % efficient at 4.7).
CUT = 4.7
ROUNDS = 30
# Scatter that no measurement is believed to fall below, pixels: keeps exact data from
# throwing each other out.
LEAST_SCATTER = 1e-4
# Largest stretch, shear or rotation of an affine motion that is tried.
LARGEST_STRAIN = 0.15


@dataclasses.dataclass(frozen=True)
class Motion:
    r"""A polynomial motion over an image.

    Parameters
    ----------
    order : int
        Total degree of the polynomial.
    x, y : tuple of float
        Coefficients of the motion to the right and down, pixels, in the order
        1, u, v, u^2, u v, v^2, where u and v run from -1 at the centre of the first
        column (row) to 1 at that of the last.
    shape : (int, int)
        Rows and columns of the image.
    """

    order: int
    x: tuple[float, ...]
    y: tuple[float, ...]
    shape: tuple[int, int]

    @classmethod
    def none(cls, shape: tuple[int, int]) -> Motion:
        """No motion."""
        return cls(0, (0.0,), (0.0,), shape)

    def __call__(self, rows: np.ndarray, cols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Motion (dx, dy) in pixels at places; arrays that broadcast together."""
        terms = _terms(rows, cols, self.shape, self.order)
        dx, dy = (np.tensordot(np.array(c), terms, 1) for c in (self.x, self.y))
        return dx, dy


@dataclasses.dataclass(frozen=True)
class MotionFit:
    """A motion, and how well places agree with it.

    Attributes
    ----------
    motion : Motion
    agreeing : numpy.ndarray of bool, shape (n,)
        Places that the fit gave weight to.
    nmad : float
        Normalised median absolute deviation of the residuals of these places, of both
        components together, pixels.
    """

    motion: Motion
    agreeing: np.ndarray
    nmad: float


def number_of_terms(order: int) -> int:
    """Coefficients of each component of a motion."""
    return (order + 1) * (order + 2) // 2


def fit_motion(
    rows: np.ndarray,
    cols: np.ndarray,
    shift: np.ndarray,
    weight: np.ndarray,
    *,
    order: int,
    shape: tuple[int, int],
    tolerance: float,
) -> MotionFit:
    """Fit a polynomial motion to displacements of which many may be wrong.

    The start is the shift, or the affine motion through three places, that most places
    agree with to `tolerance` (Fischler & Bolles 1981; the triples are always the
    same). From there, least squares with Tukey's biweight, both components judged
    together by the length of their residual.

    Parameters
    ----------
    rows, cols : numpy.ndarray, shape (n,)
        Places, pixels. At least ``number_of_terms(order)`` of them.
    shift : numpy.ndarray, shape (n, 2)
        Displacement (dx, dy) there, pixels; finite.
    weight : numpy.ndarray, shape (n,)
        Inverse variances, up to a factor.
    order : {0, 1, 2}
        Degree of the polynomial.
    shape : (int, int)
        Rows and columns of the image.
    tolerance : float
        Distance to which places agree with a start, pixels.

    Returns
    -------
    MotionFit

    References
    ----------
    Fischler, M. A. & Bolles, R. C. (1981). Random sample consensus. Communications of
    the ACM 24, 381-395.
    """
    terms = _terms(rows, cols, shape, order).T
    length = _residual_of_start(rows, cols, shift, weight, order, shape, tolerance)
    agreeing = length <= tolerance
    scatter = _scatter(length[agreeing])
    # A motion of second order bends away from its affine start.
    if order == 2:
        scatter = max(scatter, tolerance / 2)
    coefficients = np.zeros((terms.shape[1], 2))
    for _ in range(ROUNDS):
        inside = length < CUT * scatter
        robust = weight * np.where(inside, (1 - (length / (CUT * scatter)) ** 2) ** 2, 0.0)
        root = np.sqrt(robust)[:, None]
        last = coefficients
        coefficients = np.linalg.lstsq(root * terms, root * shift, rcond=None)[0]
        length = np.hypot(*(shift - terms @ coefficients).T)
        agreeing = inside
        scatter = _scatter(length[inside])
        if np.allclose(coefficients, last, rtol=0, atol=1e-6):
            break
    rest = (shift - terms @ coefficients)[agreeing]
    spread = nmad(rest - np.median(rest, axis=0)) if rest.size else 0.0
    motion = Motion(
        order, tuple(coefficients[:, 0].tolist()), tuple(coefficients[:, 1].tolist()), shape
    )
    return MotionFit(motion, agreeing, spread)


def _residual_of_start(
    rows: np.ndarray,
    cols: np.ndarray,
    shift: np.ndarray,
    weight: np.ndarray,
    order: int,
    shape: tuple[int, int],
    tolerance: float,
) -> np.ndarray:
    """Distance of each place from the start that most places agree with."""
    apart = np.hypot(*(shift[:, None] - shift[None, :]).transpose(2, 0, 1))
    votes = (apart <= tolerance) @ weight
    best = int(votes.argmax())
    # The mean of those that agree is a better start than any one of them.
    near = apart[best] <= tolerance
    start = np.average(shift[near], axis=0, weights=weight[near])
    length = np.hypot(*(shift - start).T)
    most = float(weight[length <= tolerance].sum())
    if order == 0 or rows.size < 6:
        return length
    terms = _terms(rows, cols, shape, 1).T
    random = np.random.default_rng(0)
    triples = np.stack([random.choice(rows.size, 3, replace=False) for _ in range(TRIALS)])
    matrices = terms[triples]
    solvable = np.abs(np.linalg.det(matrices)) > 1e-2
    solutions = np.linalg.solve(matrices[solvable], shift[triples[solvable]])
    # u and v run over half an image a unit.
    half = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    strain = np.abs(solutions[:, 1:] / np.maximum(half, 0.5)[None, :, None]).max(axis=(1, 2))
    for solution in solutions[strain < LARGEST_STRAIN]:
        here = np.hypot(*(shift - terms @ solution).T)
        support = float(weight[here <= tolerance].sum())
        if support > most:
            most, length = support, here
    return length


def _scatter(length: np.ndarray) -> float:
    """Deviation a component, from lengths of two-dimensional residuals."""
    if length.size == 0:
        return LEAST_SCATTER
    # The median length of a normal scatter in two dimensions is 1.177 of its sigma.
    return max(float(np.median(length)) / 1.1774, LEAST_SCATTER)


def _terms(rows: np.ndarray, cols: np.ndarray, shape: tuple[int, int], order: int) -> np.ndarray:
    """The polynomial's terms at places, along a first axis."""
    u = 2.0 * np.asarray(cols, float) / max(shape[1] - 1, 1) - 1.0
    v = 2.0 * np.asarray(rows, float) / max(shape[0] - 1, 1) - 1.0
    return polynomial_terms(u, v, order)
