"""Observed scaling laws between the length, the width and the slip of earthquakes.

References
----------
Leonard, M. (2010). Earthquake fault scaling: self-consistent relating of
rupture length, width, average displacement, and moment release. Bulletin of
the Seismological Society of America, 100(5A), 1971-1988. Table 5, interplate.

Wells, D. L., & Coppersmith, K. J. (1994). New empirical relationships among
magnitude, rupture length, rupture width, rupture area, and surface
displacement. Bulletin of the Seismological Society of America, 84(4), 974-1002.

Hanks, T. C., & Kanamori, H. (1979). A moment magnitude scale. Journal of
Geophysical Research, 84(B5), 2348-2350.
"""

from __future__ import annotations

import math

__all__ = [
    "LOG10_SLIP_SCATTER",
    "LOG10_WIDTH_SCATTER",
    "mean_slip_from_area",
    "moment_magnitude",
    "width_from_length",
]

#: Standard deviation of log10 of the average displacement about its median for
#: one surface rupture length, strike-slip events (Wells & Coppersmith 1994).
LOG10_SLIP_SCATTER = 0.28

#: Standard deviation of log10 of the rupture width about its median for one
#: magnitude, strike-slip events (Wells & Coppersmith 1994).
LOG10_WIDTH_SCATTER = 0.14

# Strike-slip ruptures stop growing downward at the base of the seismogenic
# crust, which they reach at a length of 45 km (Leonard 2010).
_STRIKE_SLIP_MAX_WIDTH = 19e3
_STRIKE_SLIP_SQUARE_BELOW = 3.4e3
_DIP_SLIP_SQUARE_BELOW = 5.5e3


def width_from_length(length: float, *, strike_slip: bool = True) -> float:
    """Return the median down-dip width of a rupture of one length.

    Leonard (2010): ``W = C1 L^(2/3)``, with C1 = 15.1 m^(1/3) for strike-slip
    (up to 19 km) and 17.5 m^(1/3) for dip-slip; shorter ruptures are square.

    Parameters
    ----------
    length : float
        Rupture length, metres.
    strike_slip : bool
        Strike-slip rather than dip-slip.

    Returns
    -------
    float
        Width along dip, metres.
    """
    if strike_slip:
        if length <= _STRIKE_SLIP_SQUARE_BELOW:
            return length
        return min(15.1 * length ** (2 / 3), _STRIKE_SLIP_MAX_WIDTH)
    return length if length <= _DIP_SLIP_SQUARE_BELOW else 17.5 * length ** (2 / 3)


def mean_slip_from_area(area: float, *, strike_slip: bool = True) -> float:
    """Return the median of the slip averaged over a rupture of one area.

    Leonard (2010): ``D = C2 A^(1/2)``, with C2 = 3.7e-5 (strike-slip) or
    3.8e-5 (dip-slip).

    Parameters
    ----------
    area : float
        Rupture area, square metres.
    strike_slip : bool
        Strike-slip rather than dip-slip.

    Returns
    -------
    float
        Slip, metres.
    """
    return (3.7e-5 if strike_slip else 3.8e-5) * math.sqrt(area)


def moment_magnitude(area: float, mean_slip: float, rigidity: float = 3.0e10) -> float:
    """Return ``Mw = 2/3 (log10 M0 - 9.05)``, M0 in N m (Hanks & Kanamori 1979).

    Parameters
    ----------
    area : float
        Rupture area, square metres.
    mean_slip : float
        Slip averaged over it, metres; must be positive.
    rigidity : float
        Shear modulus, pascals.

    Returns
    -------
    float
        Moment magnitude; minus infinity where nothing slips.
    """
    moment = rigidity * area * mean_slip
    return 2 / 3 * (math.log10(moment) - 9.05) if moment > 0 else -math.inf
