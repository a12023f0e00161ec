"""The hyper-realistic database: real pairs, synthetic ruptures, storage."""

from .build import BuildReport, build_database
from .faultdeform import FaultDeformReader, open_faultdeform
from .frames import Frame, make_frame
from .plan import Plan, Settings, make_plan
from .reader import (
    DatabaseReader,
    database_table,
    open_database,
    read_displacement,
    read_fault,
    read_second_dates,
)
from .scenes import SceneSource, read_scene_list, scenes_from_names, split_scenes
from .store import checksum, stored_bytes

__all__ = [
    "BuildReport",
    "DatabaseReader",
    "FaultDeformReader",
    "Frame",
    "Plan",
    "SceneSource",
    "Settings",
    "build_database",
    "checksum",
    "database_table",
    "make_frame",
    "make_plan",
    "open_database",
    "open_faultdeform",
    "read_displacement",
    "read_fault",
    "read_scene_list",
    "read_second_dates",
    "scenes_from_names",
    "split_scenes",
    "stored_bytes",
]
