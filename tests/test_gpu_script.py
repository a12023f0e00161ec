"""The script that tries every CUDA path: its steps run, and write what they find."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


def test_every_step_runs_on_the_cpu(tmp_path):
    """Else the minutes with a GPU are spent on mending the script."""
    for module in ("interpol", "distributed", "zarr"):
        pytest.importorskip(module)
    run = subprocess.run(
        [sys.executable, SCRIPT, "--size", "tiny", "--patience", "30", "--out", tmp_path],
        capture_output=True, text=True, check=False, timeout=3600,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert "No CUDA device" in run.stdout
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert [(step["name"], step["state"], step["message"]) for step in found["steps"]] == [
        (name, "Done", "")
        for name in (
            "agreement", "speed", "utilisation", "memory", "streams", "cluster", "training",
            "large",
        )
    ]  # fmt: skip
    rows = [row for step in found["steps"] for row in step["rows"]]
    assert all(step["rows"] for step in found["steps"])
    assert [row for row in rows if row["ok"] is False] == []
    assert sum(row["ok"] is True for row in rows) >= 20
    assert run.returncode == 0, run.stderr
    assert "**No GPU was at hand.**" in (tmp_path / "gpu.rst").read_text()
