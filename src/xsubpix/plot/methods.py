"""One look a method: the same colour, line and marker in every figure."""

from __future__ import annotations

from typing import Any

__all__ = ["method_style"]

# Colours of Okabe & Ito and of Tol, told apart by colour-blind readers; lines and markers tell
# families apart in grey: networks solid, windows dashed, dense flow dash-dotted, other packages
# dotted with open markers.
_NETWORK = {"linestyle": "-", "marker": "o"}
_WINDOW = {"linestyle": "--", "marker": "s"}
_FLOW = {"linestyle": "-.", "marker": "^"}
_OTHER = {"linestyle": ":", "marker": "D", "markerfacecolor": "none"}
_STYLES: dict[str, dict[str, Any]] = {
    "truth": {"color": "black", "linestyle": "-", "linewidth": 2.0},
    "zero": {"color": "0.55", "linestyle": ":"},
    "unet": {"color": "#0072B2", "linewidth": 2.2, **_NETWORK},
    "unet-smooth": {"color": "#56B4E9", **_NETWORK},
    "geoflownet": {"color": "#AA4499", **_NETWORK},
    "flownet-sd": {"color": "#999933", **_NETWORK},
    "window-cnn": {"color": "#882255", **_NETWORK},
    "phase": {"color": "#E69F00", **_WINDOW},
    "cosi-corr": {"color": "#009E73", **_WINDOW},
    "micmac": {"color": "#D55E00", **_WINDOW, "linestyle": "-"},
    "deepflow": {"color": "#CC79A7", **_FLOW},
    "dis": {"color": "#7A4B00", **_FLOW},
    "tvl1": {"color": "#444444", **_FLOW},
    "openpiv": {"color": "#44AA99", **_OTHER},
    "pyxel": {"color": "#332288", **_OTHER},
    "scikit-image phase": {"color": "#117733", **_OTHER},
    "scikit-image ilk": {"color": "#661100", **_OTHER},
    "scikit-image tv-l1": {"color": "#6699CC", **_OTHER},
    "opencv farneback 25": {"color": "#DDCC77", **_OTHER},
    "opencv farneback 51": {"color": "#BBAA33", **_OTHER},
}


def method_style(name: str) -> dict[str, Any]:
    """Colour, line and marker of a method, for ``ax.plot``.

    Parameters
    ----------
    name : str
        A model or a method of another package, alone or with more in the name:
        ``"phase"``, ``"cosi-corr:window=64"``, ``"phase, windows of 320 m"``,
        ``"OpenCV DIS, tuned (dis)"``, ``"truth"``.

    Returns
    -------
    dict
        ``color``, ``linestyle``, and where the method has one ``marker``. Windows of 64 px and
        methods that are not in the table look alike among themselves: a thin line, or grey.

    Examples
    --------
    >>> from xsubpix.plot import method_style
    >>> method_style("unet")["color"]
    '#0072B2'
    >>> method_style("cosi-corr:window=64")["color"] == method_style("cosi-corr")["color"]
    True
    """
    words = name.lower()
    inner = words.rpartition("(")[2].rstrip(")")
    for text in (inner, words):
        known = [key for key in _STYLES if text.startswith(key)]
        if known:
            style = dict(_STYLES[max(known, key=len)])
            if "window=64" in text:
                style |= {"linewidth": 0.9, "markerfacecolor": "none"}
            return style
    return {"color": "0.4", "linestyle": ":"}
