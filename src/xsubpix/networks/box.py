"""Box: a rectangle of rows and columns, as one value."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import NamedTuple, Self

__all__ = ["Box"]


class Box(NamedTuple):
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right``, the last ones excluded.

    Attributes
    ----------
    top, bottom : int
        First row, and the row after the last, pixels.
    left, right : int
        First column, and the column after the last, pixels.

    Examples
    --------
    >>> box = Box(2, 8, 4, 6)
    >>> box.shape, box.within(Box(1, 9, 4, 9))
    ((6, 2), Box(top=1, bottom=7, left=0, right=2))
    """

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Self:
        """Box of a whole image, whose last two lengths are rows and columns."""
        return cls(0, shape[-2], 0, shape[-1])

    @property
    def rows(self) -> slice:
        """Its rows."""
        return slice(self.top, self.bottom)

    @property
    def cols(self) -> slice:
        """Its columns."""
        return slice(self.left, self.right)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[EllipsisType, slice, slice]:
        """Index that cuts it out of the last two axes of an array."""
        return ..., self.rows, self.cols

    def within(self, other: Box) -> Box:
        """The same rectangle, counted from the first pixel of `other`."""
        return self.moved(-other.top, -other.left)

    def moved(self, rows: int, cols: int) -> Box:
        """The rectangle `rows` further down and `cols` further to the right."""
        return Box(self.top + rows, self.bottom + rows, self.left + cols, self.right + cols)

    def reduced(self, factor: int) -> Box:
        """The rectangle in an image of `factor` times fewer rows and columns."""
        return Box(*(n // factor for n in self))

    def grown(self, margin: int, shape: Sequence[int], multiple: int = 1) -> Box:
        """The rectangle with a margin, within an image.

        Parameters
        ----------
        margin : int
            Pixels that are added on each side.
        shape : sequence of int
            Shape of the image; the last two lengths are rows and columns.
        multiple : int
            Sides are moved outwards to multiples of it.
        """
        height, width = shape[-2:]
        return Box(
            max(0, (self.top - margin) // multiple * multiple),
            min(height, -(-(self.bottom + margin) // multiple) * multiple),
            max(0, (self.left - margin) // multiple * multiple),
            min(width, -(-(self.right + margin) // multiple) * multiple),
        )

    def halves(self, multiple: int = 1) -> tuple[Box, Box] | None:
        """Two boxes, cut across the longer side at a multiple; None if it has none."""
        rows, cols = self.shape
        if rows >= cols:
            at = (self.top + rows // 2) // multiple * multiple
            if not self.top < at < self.bottom:
                return None
            return self._replace(bottom=at), self._replace(top=at)
        at = (self.left + cols // 2) // multiple * multiple
        if not self.left < at < self.right:
            return None
        return self._replace(right=at), self._replace(left=at)
