"""Draw docs/_static/explore.png: the page that ``explore`` makes of the glacier.

python docs/draw_explore.py [--browser chromium]
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

import xsubpix  # noqa: F401  (registers the accessors)
from xsubpix.tutorial import glacier


def main() -> None:
    """Measure, write the page, and let a browser draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browser", default="chromium")
    options = parser.parse_args()
    pre, post, rock = glacier()
    disp = pre.subpix.correlate(post)
    disp = disp.subpix.mask()
    disp = disp.subpix.detrend(order=0, mask=rock)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        disp.subpix.explore(pre, post).save(page)
        picture = Path(__file__).parent / "_static" / "explore.png"
        subprocess.run(
            [options.browser, "--headless", "--no-sandbox", "--disable-gpu",
             f"--screenshot={picture}", "--window-size=1110,810",
             "--virtual-time-budget=8000", page.as_uri()],
            check=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
