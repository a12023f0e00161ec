"""Samples of moving ground: what moved is what the truth says, forth and back."""

import numpy as np
import pytest
from scipy import ndimage

from xsubpix.errors import DataError, FileError
from xsubpix.training.ground import GroundFrames, Scene, build_scenes, read_scenes
from xsubpix.training.motion import (
    Flow,
    Lines,
    Shift,
    Strand,
    draw_lines,
    draw_motion,
    draw_rough,
    draw_strands,
    draw_tongue,
)

SIDE = 96


def texture(side: int = 256, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(rng.standard_normal((side, side)), 1.2)
    return (image / image.std()).astype(np.float32)


@pytest.mark.parametrize("draw", [draw_strands, draw_rough, draw_tongue, draw_lines])
def test_back_undoes_forth(draw):
    """Truth of the swapped pair would lie beside the ground."""
    for seed in range(4):
        drawn = draw(np.random.default_rng(seed), SIDE)
        flow = Flow(drawn if isinstance(drawn, list) else [drawn], SIDE)
        forth, back = flow.fields()
        y, x = np.indices((SIDE, SIDE), dtype=np.float32)
        there = flow.at(x + np.nan_to_num(back[0]), y + np.nan_to_num(back[1]))
        known = np.isfinite(back[0])
        assert known.mean() > 0.5
        miss = np.hypot(there[0] + back[0], there[1] + back[1])[known]
        assert miss.max() < 0.1
        assert np.isfinite(forth[0]).mean() > 0.5


def test_a_strand_has_its_offset():
    """Ruptures would be drawn of other sizes than they say."""
    strand = Strand(
        x=50.0, y=50.0, strike=0.0, motion=0.0, offset=3.0, share=0.0, zone=1.0, skew=0.0,
        depth=1e5, centre=0.0, half=np.inf, wiggle=np.zeros(0, np.float32),
    )  # fmt: skip
    dx, dy = strand.at(np.array([40.0, 40.0]), np.array([48.0, 52.0]))
    assert dx[1] - dx[0] == pytest.approx(3.0, abs=1e-3)
    assert np.abs(dy).max() < 1e-6


def test_distributed_shear_keeps_the_offset():
    """Off-fault deformation would add to the offset, or take from it."""
    strand = Strand(
        x=0.0, y=0.0, strike=0.0, motion=0.0, offset=2.0, share=0.6, zone=10.0, skew=0.5,
        depth=1e5, centre=0.0, half=np.inf, wiggle=np.zeros(0, np.float32),
    )  # fmt: skip
    dx, _ = strand.at(np.zeros(4), np.array([-200.0, -0.01, 0.01, 200.0]))
    assert dx[3] - dx[0] == pytest.approx(2.0, abs=0.01)
    assert dx[2] - dx[1] == pytest.approx(0.8, abs=0.01)


def test_lines_move_as_one():
    """Jitter would be smeared over neighbouring lines."""
    lines = Lines(np.arange(20, dtype=np.float32).reshape(2, 10), True, 0.0)
    dx, dy = lines.at(np.array([3.0, 7.0]), np.array([4.2, 3.8]))
    assert dx.tolist() == [4.0, 4.0]
    assert dy.tolist() == [14.0, 14.0]


def test_samples_show_their_truth():
    """A sign or a swap of axes would teach the network the wrong direction."""
    image = texture()
    frames = GroundFrames([Scene(image, image, None)], SIDE)
    checked = 0
    for seed in range(12):
        for frame in frames.both_orders(0, np.random.default_rng(seed)):
            largest = float(np.nanmax(np.abs(frame.flow)))
            if not 0.3 < largest < 20:
                continue
            y, x = np.indices((SIDE, SIDE), dtype=np.float64)
            at = [y + np.nan_to_num(frame.flow[1]), x + np.nan_to_num(frame.flow[0])]
            moved = ndimage.map_coordinates(frame.post, at, order=3, cval=np.nan)
            known = np.isfinite(moved) & np.isfinite(frame.flow[0])
            found = np.corrcoef(moved[known], frame.pre[known])[0, 1]
            assert found > 0.85
            checked += 1
    assert checked >= 8


def test_samples_follow_from_their_seed():
    """A run that was stopped would go on with other samples."""
    frames = GroundFrames([Scene(texture(), texture(seed=1), None)], SIDE)
    one, two = (frames.draw(0, np.random.default_rng(5)) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_scenes_are_read_as_written(tmp_path):
    """Training would see other images than were made."""
    bands = np.stack([100 + 20 * texture(160, k) for k in range(3)])
    pair = texture(160, 7), np.stack([texture(160, 7), texture(160, 8)])
    build_scenes({"a": bands}, tmp_path, seed=1, each={"a": 2}, twins={"b": pair})
    scenes = read_scenes(tmp_path)
    assert [scene.date is None for scene in scenes] == [False, False] + [True] * 4
    assert all(scene.pre.shape == (160, 160) for scene in scenes)
    assert abs(float(scenes[0].pre.astype(np.float32).mean())) < 0.1
    frame = GroundFrames(scenes, SIDE).draw(0, np.random.default_rng(0))
    assert frame.pre.shape == (SIDE, SIDE)


def test_what_is_no_scene_is_refused(tmp_path):
    """A wrong path would end in a traceback, after the run had begun."""
    with pytest.raises(FileError, match="no scenes"):
        read_scenes(tmp_path)
    with pytest.raises(DataError, match="512"):
        GroundFrames([Scene(texture(), texture(), None)], 512)


def test_motion_of_every_kind_is_drawn():
    """A kind that is never drawn is never learned."""
    kinds = {
        type(motion).__name__
        for seed in range(60)
        for motion in draw_motion(np.random.default_rng(seed), SIDE)
    }
    assert kinds == {"Shift", "Strand", "Rough", "Tongue", "Lines"}
    sizes = [
        np.nanmax(np.abs(Flow(draw_motion(np.random.default_rng(s), SIDE), SIDE).fields()[0]))
        for s in range(60)
    ]
    assert max(sizes) > 20
    assert min(sizes) < 0.5


def test_a_shift_is_everywhere():
    """Rigid motion of all sizes is what bias is measured on."""
    forth, back = Flow([Shift(1.25, -2.5)], 16).fields()
    np.testing.assert_array_equal(forth[0], np.full((16, 16), 1.25, np.float32))
    np.testing.assert_array_equal(back[1], np.full((16, 16), 2.5, np.float32))
