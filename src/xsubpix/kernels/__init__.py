"""Numerical kernels: pure functions on plain arrays, one theme a file.

Nothing here knows images, grids or coordinates. Files whose name ends in ``_torch`` need torch;
the others do without, and import SciPy only when they are called.
"""
