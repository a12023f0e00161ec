"""Scenes: the files that samples are cut from, and the splits they belong to.

A scene is one image, several bands of one instant, a panchromatic image with
the bands of the same instant, or two real dates. Scenes of one *location* go to
one split together, and no ground is shared by two splits.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, FileError
from ..files.images import open_image
from ..grid import Grid
from .layout import SPLITS

__all__ = [
    "SceneSource",
    "check_overlaps",
    "digest_of",
    "footprints_overlap",
    "read_scene_list",
    "scenes_from_names",
    "split_scenes",
]


@dataclasses.dataclass(frozen=True)
class SceneSource:
    """Files of one scene.

    Parameters
    ----------
    path : pathlib.Path
        The first date: one band, several, or the panchromatic one.
    multispectral : pathlib.Path, optional
        Bands of the same ground and instant, of any resolution; `path` then
        holds one band.
    post : pathlib.Path, optional
        A real second date on the grid of `path`.
    band : int, optional
        Band, from 1, of `path` (and of `post`) that is used; needed where a
        pair of dates has several. Without it, all bands of a single date are
        mixed at random.
    location : str
        What the scene has in common with others of the same ground. Scenes of
        one location are never split. By default the file's name.
    split : str, optional
        ``"train"``, ``"validation"`` or ``"test"``; None leaves it to
        :func:`split_scenes`.
    source, licence : str
        For the datasheet.

    Raises
    ------
    DataError
        Both a second date and multispectral bands are given, or the split is
        not one of the three.

    Examples
    --------
    >>> from xsubpix.database import SceneSource
    >>> SceneSource("scene.tif", split="train").name
    'scene'
    """

    path: Path
    multispectral: Path | None = None
    post: Path | None = None
    band: int | None = None
    location: str = ""
    split: str | None = None
    source: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        for name in ("path", "multispectral", "post"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, Path(value))
        if not self.location:
            object.__setattr__(self, "location", self.name)
        if self.post is not None and self.multispectral is not None:
            raise DataError(
                f"scene {self.name}: a second date ({self.post.name}) and multispectral bands "
                f"({self.multispectral.name}) exclude each other. Drop one."
            )
        if self.split is not None and self.split not in SPLITS:
            raise DataError(
                f"scene {self.name}: split={self.split!r} is none of {', '.join(SPLITS)}."
            )

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the scene."""
        return tuple(p for p in (self.path, self.multispectral, self.post) if p is not None)


def scenes_from_names(
    names: Iterable[str],
    *,
    multispectral: tuple[str, str] | None = None,
    band: int | None = None,
    location: str | None = None,
    source: str = "",
    licence: str = "",
) -> list[SceneSource]:
    """Scenes from what is written on a command line.

    Parameters
    ----------
    names : iterable of str
        ``FILE``, ``PAN+MS`` (panchromatic and multispectral), ``PRE,POST`` (two
        dates on one grid) or ``LIST.toml`` (:func:`read_scene_list`).
    multispectral : (str, str), optional
        What to replace in a file's name, and by what, to get the name of its
        multispectral companion, for instance ``("_pan", "_ms")``.
    band : int, optional
        See :class:`SceneSource`.
    location : str, optional
        Regular expression: what it finds in the file's name is the location.
    source, licence : str
        For the datasheet.

    Returns
    -------
    list of SceneSource

    Raises
    ------
    FileError
        A file is not there.
    DataError
        The pattern is no regular expression or does not occur in a name.

    Examples
    --------
    >>> from xsubpix.database import scenes_from_names
    >>> [scene.location for scene in scenes_from_names(["scene.tif"], location="sc[a-z]")]
    ['sce']
    """
    scenes = []
    for name in names:
        if name.endswith(".toml"):
            scenes += read_scene_list(name)
            continue
        parts = [name] if Path(name).exists() else re.split(r"[+,]", name, maxsplit=1)
        options: dict[str, Any] = {"band": band, "source": source, "licence": licence}
        path = Path(parts[0])
        if len(parts) == 2:
            options["post" if name[len(parts[0])] == "," else "multispectral"] = Path(parts[1])
        elif multispectral is not None:
            old, new = multispectral
            if old not in path.name:
                raise DataError(f"scene {path.name}: there is no {old!r} in it to replace.")
            options["multispectral"] = path.with_name(path.name.replace(old, new))
        if location is not None:
            options["location"] = _location(location, path.name)
        scenes.append(SceneSource(path, **options))
    for scene in scenes:
        for file in scene.files:
            if not file.is_file():
                raise FileError(f"scene {scene.name}: there is no file {file}.")
    return scenes


def read_scene_list(path: str | Path) -> list[SceneSource]:
    """Read scenes from a TOML file.

    Parameters
    ----------
    path : str or path
        Tables ``[[scene]]`` with the parameters of :class:`SceneSource` as keys,
        paths counting from the file's own folder. A table ``[default]`` holds
        what all scenes share.

    Returns
    -------
    list of SceneSource

    Raises
    ------
    FileError
        The file cannot be read or has another key.

    Examples
    --------
    >>> from pathlib import Path
    >>> from xsubpix.database import read_scene_list
    >>> text = '''
    ... [default]
    ... source = "USGS"
    ... [[scene]]
    ... path = "before.tif"
    ... split = "train"
    ... '''
    >>> Path("scenes.toml").write_text(text) and read_scene_list("scenes.toml")[0].source
    'USGS'
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileError(f"cannot read {path}: {error}") from error
    known = {field.name for field in dataclasses.fields(SceneSource)}
    scenes = []
    for table in content.get("scene", []):
        options = {**content.get("default", {}), **table}
        if unknown := sorted(set(options) - known):
            raise FileError(f"{path}: unknown key {unknown[0]!r}; a scene has {sorted(known)}.")
        if "path" not in options:
            raise FileError(f"{path}: a [[scene]] without a path.")
        for key in {"path", "multispectral", "post"} & set(options):
            options[key] = path.parent / options[key]
        scenes.append(SceneSource(**options))
    if not scenes:
        raise FileError(f"{path} lists no scene: write tables [[scene]] with a path.")
    return scenes


def split_scenes(
    scenes: Sequence[SceneSource], patterns: Mapping[str, Sequence[str]]
) -> list[SceneSource]:
    """Give each scene its split.

    Parameters
    ----------
    scenes : sequence of SceneSource
        Those that have a split keep it.
    patterns : mapping
        Split to glob patterns (``*``, ``?``), which are compared with the
        scenes' locations and names. What matches none is for training.

    Returns
    -------
    list of SceneSource
        Sorted by name, so that the order in which files are given is of no
        consequence.

    Raises
    ------
    DataError
        Two scenes have one name, a scene matches the patterns of two splits, a
        pattern matches nothing, or one location is in two splits.

    Examples
    --------
    >>> from xsubpix.database import SceneSource, split_scenes
    >>> scenes = [SceneSource(f"{name}.tif") for name in ("north", "south")]
    >>> [scene.split for scene in split_scenes(scenes, {"test": ["south"]})]
    ['train', 'test']
    """
    if unknown := sorted(set(patterns) - set(SPLITS)):
        raise DataError(f"split {unknown[0]!r} is none of {', '.join(SPLITS)}.")
    names = [scene.name for scene in scenes]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise DataError(f"two scenes are called {twice[0]!r}: rename a file, or drop one.")
    if not scenes:
        raise DataError("there are no scenes: give at least one image.")
    used: set[str] = set()
    done = []
    for scene in sorted(scenes, key=lambda s: s.name):
        hits = {}
        for split, globs in patterns.items():
            matching = [
                g
                for g in globs
                if fnmatch.fnmatchcase(scene.location, g) or fnmatch.fnmatchcase(scene.name, g)
            ]
            used.update(matching)
            if matching:
                hits[split] = matching[0]
        if len(hits) > 1:
            listed = " and ".join(f"{split} ({glob})" for split, glob in hits.items())
            raise DataError(f"scene {scene.name} matches {listed}: narrow one of the patterns.")
        split = scene.split or next(iter(hits), "train")
        done.append(dataclasses.replace(scene, split=split))
    if unused := sorted({g for globs in patterns.values() for g in globs} - used):
        raise DataError(
            f"pattern {unused[0]!r} matches none of the locations "
            f"{', '.join(sorted({s.location for s in scenes}))}."
        )
    by_location: dict[str, SceneSource] = {}
    for scene in done:
        first = by_location.setdefault(scene.location, scene)
        if first.split != scene.split:
            raise DataError(
                f"location {scene.location} is in two splits: {first.name} in {first.split}, "
                f"{scene.name} in {scene.split}. Put both into one, or drop one."
            )
    return done


def check_overlaps(
    scenes: Sequence[SceneSource], grids: Sequence[Grid], digests: Sequence[str]
) -> None:
    """Refuse scenes of different splits that show the same ground.

    Scenes with a CRS are compared by their outlines. Those without cannot be:
    of them only equal files are noticed, and it is their locations that keep
    them apart.

    Parameters
    ----------
    scenes : sequence of SceneSource
        With their splits.
    grids : sequence of Grid
        Grids of the scenes.
    digests : sequence of str
        Digests of the scenes' first files (:func:`digest_of`).

    Raises
    ------
    DataError
        Two overlap, or are equal.
    """
    for i, one in enumerate(scenes):
        for j in range(i):
            two = scenes[j]
            if one.split == two.split:
                continue
            same = digests[i] == digests[j]
            if same or footprints_overlap(grids[i], grids[j]):
                how = "are the same image" if same else "overlap on the ground"
                raise DataError(
                    f"{two.name} ({two.split}) and {one.name} ({one.split}) {how}: what is "
                    "learned from one would be tested on the other. Give both the same split."
                )


def footprints_overlap(one: Grid, two: Grid) -> bool:
    """True where two images share ground; False where one has no CRS.

    Both outlines are brought to the first grid's pixels, where they are convex
    as far as map projections are smooth over an image, and compared by the
    separating axes of convex polygons. Outlines that only touch do not overlap.
    """
    if one.crs is None or two.crs is None:
        return False
    import pyproj

    outlines = []
    for grid in (one, two):
        x, y = _outline(grid)
        if grid is two:
            transformer = pyproj.Transformer.from_crs(two.crs, one.crs, always_xy=True)
            x, y = transformer.transform(x, y)
            if one.crs.is_geographic:
                # Across the date line, on the branch of the first image's longitudes.
                centre = one.transform.c + one.transform.a * one.shape[1] / 2
                x = x - 360.0 * np.rint((x - centre) / 360.0)
            if not np.isfinite([x, y]).all():
                return False  # the other side of the Earth
        outlines.append(np.stack(one.index(x, y), axis=1))
    for polygon in outlines:
        edges = np.roll(polygon, -1, axis=0) - polygon
        normals = np.stack([-edges[:, 1], edges[:, 0]], axis=1)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        first, second = outlines[0] @ normals.T, outlines[1] @ normals.T
        # A thousandth of a pixel: neighbours that share an edge share no ground.
        gap = (first.max(0) <= second.min(0) + 1e-3) | (second.max(0) <= first.min(0) + 1e-3)
        if gap.any():
            return False
    return True


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises
    ------
    FileError
        It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}.") from error


def grid_of(path: Path) -> Grid:
    """Grid of a raster file."""
    return Grid.from_dataarray(open_image(path, band=1), path.name)


def _location(pattern: str, name: str) -> str:
    try:
        found = re.search(pattern, name)
    except re.error as error:
        raise DataError(f"location={pattern!r} is no regular expression: {error}.") from error
    if found is None:
        raise DataError(f"location={pattern!r} finds nothing in the file name {name!r}.")
    return found.group()


def _outline(grid: Grid, per_side: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """CRS coordinates along the border: straight sides may be bent in another projection."""
    rows, cols = grid.shape
    share = np.linspace(0, 1, per_side, endpoint=False)
    zero, one = np.zeros(per_side), np.ones(per_side)
    col = cols * np.concatenate([share, one, 1 - share, zero])
    row = rows * np.concatenate([zero, share, one, 1 - share])
    return grid.at(row - 0.5, col - 0.5)
