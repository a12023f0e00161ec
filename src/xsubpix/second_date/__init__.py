"""Second dates: what changes between two images of the same ground that did not move."""

from .date import CAUSES, CORRELATION_AT_GAP, SecondDate, correlation_at_gap

__all__ = ["CAUSES", "CORRELATION_AT_GAP", "SecondDate", "correlation_at_gap"]
