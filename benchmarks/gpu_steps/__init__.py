"""Steps of ``benchmarks/gpu.py``: each yields a row of its results at a time."""
