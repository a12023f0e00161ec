"""An estimator of one's own: least squares on image gradients."""

import dataclasses
from typing import ClassVar

import numpy as np

from xsubpix.estimators import Estimate, Estimator, Flag
from xsubpix.estimators.dense import sample_blocks
from xsubpix.kernels.local_correlation import box_mean


@dataclasses.dataclass(frozen=True)
class LucasKanade(Estimator):
    """Shift of a window from one step on gradients (Lucas & Kanade 1981): below 1 px only.

    ``quality`` compares the eigenvalues of the window's structure matrix: 0 where it
    holds one straight edge, 1 where gradients have no preferred direction.
    """

    window: int = 21
    name: ClassVar[str] = "lucas-kanade"
    description: ClassVar[str] = "Lucas & Kanade (1981), one step"
    support = property(lambda self: self.window // 2 + 1)  # gradients take a pixel more
    halo = property(lambda self: self.support + 1)
    tile = property(lambda self: max(1, 256 // self.step))

    def __call__(self, pre: np.ndarray, post: np.ndarray) -> Estimate:
        """See :meth:`Estimator.__call__`."""
        fields = [self._field(*pair) for pair in zip(pre, post, strict=True)]
        return sample_blocks(fields, self.halo, self.step)

    def _field(self, pre: np.ndarray, post: np.ndarray) -> Estimate:
        gy, gx = np.gradient((pre + post) / 2)
        change = pre - post  # = g . d, to first order
        known = np.isfinite(gx + gy + change)
        xx, xy, yy, bx, by = (
            box_mean(np.where(known, a * b, 0.0), self.window)
            for a, b in ((gx, gx), (gx, gy), (gy, gy), (gx, change), (gy, change))
        )
        quality = 4 * (xx * yy - xy * xy) / np.maximum((xx + yy) ** 2, 1e-30)
        textured = quality > 1e-3
        det = np.where(textured, xx * yy - xy * xy, np.nan)
        dx, dy, sigma = (yy * bx - xy * by) / det, (xx * by - xy * bx) / det, np.nan * det
        missing = box_mean(np.isfinite(change), self.window) < 0.5
        flags = np.where(missing, Flag.NODATA, np.where(textured, np.uint8(0), Flag.LOW_TEXTURE))
        parts = (np.where(missing, np.nan, v).astype(np.float32) for v in (dx, dy, sigma, quality))
        return Estimate(*parts, flags.astype(np.uint8))
