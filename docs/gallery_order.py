"""The order of the gallery: from the first field to one's own network."""

from __future__ import annotations

from pathlib import Path

ORDER = (
    "plot_first_field",
    "plot_glacier",
    "plot_two_scenes",
    "plot_stack",
    "plot_which_correlator",
    "plot_synthetic_rupture",
    "plot_rough_ruptures",
    "plot_near_fault_offsets",
    "plot_uncertainty",
    "plot_large_displacement",
    "plot_full_scene",
    "plot_database",
    "plot_own_scenes",
)


class GalleryOrder:
    """Sort key of sphinx-gallery."""

    def __init__(self, src_dir: str) -> None:
        self.src_dir = src_dir

    def __call__(self, filename: str) -> tuple[int, str]:
        name = Path(filename).stem
        return (ORDER.index(name) if name in ORDER else len(ORDER)), name
