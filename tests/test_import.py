"""What ``import xsubpix`` costs and offers."""

import subprocess
import sys

import xsubpix

HEAVY = ("torch", "matplotlib", "cutde", "cv2", "numba", "skimage", "rasterio", "distributed")


def test_import_is_light():
    """Else a second of torch is paid by everyone who only opens a file."""
    code = f"import sys, xsubpix; print(*[m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == ""
    assert run.stderr == ""


def test_public_names_are_there_and_sorted():
    """Else ``from xsubpix import *`` or the documentation breaks."""
    assert all(hasattr(xsubpix, name) for name in xsubpix.__all__)
    assert sorted(xsubpix.__all__) == list(xsubpix.__all__)
    assert "phase" in xsubpix.available_models()


def test_dir_holds_public_names_only():
    """Else completion offers files, and what they import, beside functions."""
    assert dir(xsubpix) == sorted(xsubpix.__all__)
