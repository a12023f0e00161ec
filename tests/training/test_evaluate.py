"""Evaluation: scores of results that are known, on cases that are known."""

import json

import numpy as np
import pytest

from xsubpix.cli import main
from xsubpix.errors import DataError, ModelError
from xsubpix.training.cases import Case, Pair, Trace, null_cases, real_cases
from xsubpix.training.evaluate import evaluate
from xsubpix.training.methods import model_method, zero_predictor
from xsubpix.training.report import text_table, write_page
from xsubpix.training.scores import Found, Tally


def scene(side=128, seed=0):
    from scipy import ndimage

    noise = np.random.default_rng(seed).normal(size=(side, side))
    return (100 + 50 * ndimage.gaussian_filter(noise, 1.5)).astype(np.float32)


def fault_case(offset=2.0, side=128):
    """A straight fault along a column between pixels; its right side (x > 64) moves down."""
    cols = np.arange(side)[None, :].repeat(side, 0)
    flow = np.zeros((2, side, side), np.float32)
    flow[1] = np.where(cols > 63.5, offset / 2, -offset / 2)
    line = np.array([[63.5, -1.0], [63.5, side + 1.0]])
    trace = Trace.of_lines([line], (side, side))
    image = scene(side)
    return Case("set", "case", image, image, flow, "2", trace)


def dense(flow, sigma=None):
    rows, cols = (np.arange(n, dtype=float) for n in flow.shape[1:])
    return Found(rows, cols, flow[0], flow[1], sigma)


def test_distance_from_a_trace():
    """Classes of distance would hold other pixels, and profiles the wrong sides."""
    trace = fault_case().trace
    np.testing.assert_allclose(np.abs(trace.distance[50, 60:68]), np.abs(np.arange(60, 68) - 63.5),
                               atol=0.2)  # fmt: skip
    assert trace.distance[50, 20] * trace.distance[50, 100] < 0
    np.testing.assert_allclose(np.abs(trace.along[1, 50]), 1, atol=1e-6)
    assert trace.inside[50].all()


def test_perfect_result_scores_zero():
    """A shift by a pixel or a swap of components anywhere would show here."""
    case = fault_case()
    tally = Tally(16)
    tally.add(case, dense(case.flow), case.local_correlation())
    scores = tally.scores()
    assert scores.mean == 0
    assert scores.offset == pytest.approx(1)
    assert scores.missing == 0


def test_offset_counts_what_a_smooth_result_loses():
    """Fault offset bias must be seen whatever the error elsewhere."""
    case = fault_case()
    tally = Tally(16)
    tally.add(case, dense(0.8 * case.flow), case.local_correlation())
    assert tally.scores().offset == pytest.approx(0.8, abs=1e-3)
    assert tally.scores().by_distance["0-2 px"] == pytest.approx(0.2, abs=1e-3)


def test_sigma_is_counted_by_component():
    """Coverage of 68 and 95 %, of Gaussian errors of known deviation."""
    case = fault_case()
    rng = np.random.default_rng(0)
    found = dense(case.flow + 0.1 * rng.normal(size=case.flow.shape), np.full((128, 128), 0.1))
    tally = Tally(8)
    tally.add(case, found, case.local_correlation())
    assert tally.scores().inside_68 == pytest.approx(0.683, abs=0.02)
    assert tally.scores().inside_95 == pytest.approx(0.95, abs=0.01)


def test_missing_values_are_counted_not_scored():
    """A method could win by leaving out the hard half without a word."""
    case = fault_case()
    flow = case.flow.copy()
    flow[:, :64] = np.nan
    tally = Tally(0)
    tally.add(case, dense(flow), case.local_correlation())
    assert tally.scores().missing == pytest.approx(0.5, abs=0.01)
    assert tally.scores().mean == 0


def test_values_at_their_places():
    """Values of a step of 4 lie between pixels; the truth must be taken there."""
    case = fault_case()
    ramp = np.stack(np.meshgrid(np.arange(128.0), np.arange(128.0))).astype(np.float32) / 50
    case = Case("set", "ramp", case.pre, case.post, ramp, "1", None)
    places = 4 * np.arange(32) + 1.5
    cols, rows = np.meshgrid(places, places)
    tally = Tally(16)
    tally.add(case, Found(places, places, cols / 50, rows / 50), case.local_correlation())
    assert tally.scores().mean < 1e-5


def test_moved_pairs_are_measured_right(tmp_path):
    """The whole chain on images: truth, warp, model, score, page."""
    pytest.importorskip("matplotlib")
    image = scene(160)
    cases = [*real_cases([Pair("scene", image, image)], [1.0], seed=4),
             *null_cases("nothing moved", [Pair("scene", image, image)])]  # fmt: skip
    methods = {"phase": model_method("phase:window=16,step=2")}
    result = evaluate(methods, cases, border=16, worst=2)
    moved = result.scores["phase"]["real second dates"]
    assert moved.mean < 0.3 * result.scores["zero predictor"]["real second dates"].mean
    assert moved.offset == pytest.approx(1, abs=0.15)
    assert result.scores["phase"]["nothing moved"].mean < 0.01
    page = write_page(result, tmp_path).read_text()
    assert "phase:window=16,step=2" not in page
    assert "zero predictor" in page
    assert (tmp_path / "networks_worst.png").stat().st_size > 5000
    assert json.loads((tmp_path / "networks.json").read_text())["seconds"]["phase"] > 0
    assert "nothing moved (1)" in text_table(result)


def test_page_is_updated_by_some_methods(tmp_path):
    """Else all methods are run again, for an hour, whenever the weights of one change."""
    image = scene(96)
    cases = list(null_cases("nothing moved", [Pair("scene", image, image)]))
    methods = {name: model_method(f"phase:window=16,step={name}") for name in ("2", "4")}
    write_page(evaluate(methods, cases, border=16), tmp_path)
    before = json.loads((tmp_path / "networks.json").read_text())
    result = evaluate({"4": zero_predictor}, cases, border=16)
    page = write_page(result, tmp_path, update=True).read_text()
    after = json.loads((tmp_path / "networks.json").read_text())
    assert list(after["scores"]) == ["4", "2", "zero predictor"]
    assert after["scores"]["2"] == before["scores"]["2"]
    assert after["scores"]["4"] != before["scores"]["4"]
    assert page.index("\n4  ") < page.index("\n2  ") < page.index("\nzero predictor  ")

    other = evaluate({"4": zero_predictor}, [*cases, *cases], border=16)
    with pytest.raises(DataError, match="counts"):
        write_page(other, tmp_path, update=True)


def test_bad_requests_are_refused(capsys):
    """One clear line, not a traceback after minutes of work."""
    with pytest.raises(DataError, match="key=value"):
        model_method("phase:window")
    with pytest.raises(ModelError, match="windo"):
        model_method("phase:windo=3")
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate({"zero": zero_predictor}, [])
    with pytest.raises(DataError, match="border"):
        evaluate({"zero": zero_predictor}, [fault_case()], border=64)
    assert main(["evaluate", "phase", "--data", "absent.zarr"]) == 2
    assert "absent.zarr" in capsys.readouterr().err


MAKER = """
import numpy as np

def still():
    def run(pre, post):
        rows, cols = (np.arange(n) for n in pre.shape)
        return rows, cols, np.zeros(pre.shape), np.full(pre.shape, 0.25)
    return run
"""


def test_methods_of_other_packages(tmp_path):
    """A geoscientist's own correlator could not be compared on the same cases."""
    file = tmp_path / "mine.py"
    file.write_text(MAKER)
    image = scene(96)
    cases = list(null_cases("still", [Pair("scene", image, image)]))
    method = model_method(f"{file}:still")
    scores = evaluate({"still": method}, cases, border=8).scores["still"]["still"]
    assert scores.mean == pytest.approx(0.25, abs=1e-6)
    for wrong in (f"{file}:absent", f"{tmp_path}/none.py:still"):
        with pytest.raises(ModelError, match=r"Give FILE\.py:NAME"):
            model_method(wrong)


def test_processes_change_nothing(tmp_path):
    """Scores would depend on how many cores a machine has."""
    file = tmp_path / "mine.py"
    file.write_text(MAKER)
    cases = [*real_cases([Pair("scene", scene(128), scene(128))], [1.0, 3.0], seed=4),
             *null_cases("still", [Pair("scene", scene(128), scene(128))])]  # fmt: skip
    methods = {"phase": model_method("phase:window=16"), "still": model_method(f"{file}:still")}
    one, two = (evaluate(methods, cases, border=16, workers=n) for n in (1, 2))
    assert repr(one.scores) == repr(two.scores)
    assert one.counts == two.counts
    assert [w.case.label for w in one.worst] == [w.case.label for w in two.worst]


def test_offset_by_part_and_size():
    """A blur at the fault must show in the nearest fit and not in the farthest."""
    from scipy import ndimage

    case = fault_case()
    tally = Tally(2)
    tally.add(case, dense(ndimage.gaussian_filter(case.flow, (0, 6, 6))), case.local_correlation())
    scores = tally.scores()
    assert scores.offset_by_size == {"2": scores.offset}
    parts = list(scores.offset_by_fit.values())
    assert parts[0] == scores.offset < 0.8
    assert parts[2] == pytest.approx(1, abs=0.03)


def test_tilt_is_part_of_the_truth():
    """Methods would be blamed for finding how two dates were rectified."""
    image = scene(128)
    tilt = np.stack(np.meshgrid(*2 * [np.linspace(-0.1, 0.1, 128)])).astype(np.float32)
    (case,) = null_cases("tilted", [Pair("scene", image, image, tilt)])
    np.testing.assert_allclose(case.flow, tilt, atol=1e-3)
