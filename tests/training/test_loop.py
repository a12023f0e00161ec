"""Training: its configuration, and that it can stop and go on."""

import csv
import importlib.util
import multiprocessing
import re
import time

import numpy as np
import pytest
import torch
from scipy import ndimage

from xsubpix.cli import main
from xsubpix.errors import DataError, FileError
from xsubpix.files.locks import locked
from xsubpix.networks import build_network
from xsubpix.networks.weights import load_network, save_network
from xsubpix.training.config import Source, TrainConfig
from xsubpix.training.dataset import StepSampler, batch_loader
from xsubpix.training.loop import train
from xsubpix.training.samples import Augmentation, Frame, draw_batch


class Shifted:
    """Scenes moved by whole pixels, and the fraction that a linear ramp adds."""

    def __len__(self):
        return 6

    def draw(self, index, rng):
        noise = np.random.default_rng(index).normal(size=(80, 80))
        wide = ndimage.gaussian_filter(noise, 1.5)
        dx, dy = (int(v) for v in rng.integers(-1, 2, 2))
        flow = np.empty((2, 64, 64), np.float32)
        flow[0], flow[1] = dx, dy
        post = wide[8 - dy : 72 - dy, 8 - dx : 72 - dx]
        return Frame(wide[8:72, 8:72].astype("f4"), post.astype("f4"), flow)


@pytest.fixture(autouse=True)
def _no_pictures(request, monkeypatch):
    """Pictures take most of the time of runs as short as these; one run draws them."""
    if request.node.name != "test_resumed_run_is_the_same_to_the_bit":
        without_pictures(monkeypatch)


def without_pictures(monkeypatch):
    monkeypatch.setattr("xsubpix.training.loop.draw_samples", lambda *arguments: None)
    monkeypatch.setattr("xsubpix.training.progress.draw_curves", lambda *arguments: None)


def config(**changes):
    values = {
        "network": {"width": 0.125, "levels": [2, 1]},
        "data": (Source("none"),),
        "steps": 6,
        "batch": 2,
        "crop": 64,
        "validate_every": 2,
        "validation_frames": 2,
        "warmup": 2,
        "augmentation": Augmentation(shift=0, missing=0.3),
    }
    return TrainConfig(**{**values, **changes})


def test_resumed_run_is_the_same_to_the_bit(tmp_path, monkeypatch):
    """A run that was stopped would be another run, and its digest a lie."""
    frames = [Shifted()]
    train(config(), tmp_path / "whole", sources=frames, progress=False)
    without_pictures(monkeypatch)
    train(config(), tmp_path / "parts", sources=frames, progress=False, stop_at=4)
    train(config(), tmp_path / "parts", sources=frames, progress=False)
    one, two = (tmp_path / name / "weights.safetensors" for name in ("whole", "parts"))
    assert one.read_bytes() == two.read_bytes()
    rows = [
        [row[:3] for row in csv.reader((tmp_path / name / "progress.csv").read_text().split())]
        for name in ("whole", "parts")
    ]
    assert rows[0] == rows[1]
    assert [row[0] for row in rows[0]] == ["step", "2", "4", "6"]
    for name in ("curves.png", "samples.png") if importlib.util.find_spec("matplotlib") else ():
        assert (tmp_path / "whole" / name).stat().st_size > 5000


def run_alone(folder):
    """A run in a process of its own, as long as a run to be killed must be."""
    torch.set_num_threads(1)
    train(config(steps=12, validate_every=4), folder, sources=[Shifted()], progress=False)


def test_killed_run_goes_on_to_the_same_bits(tmp_path):
    """A power cut would cost the run, or change it without a word."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    process = multiprocessing.get_context("spawn").Process(target=run_alone, args=(tmp_path / "a",))
    process.start()
    checkpoint, end = tmp_path / "a" / "checkpoint.pt", time.monotonic() + 600
    while not checkpoint.exists() and time.monotonic() < end:
        time.sleep(0.02)
    process.kill()
    process.join()
    reached = torch.load(checkpoint, weights_only=True)["step"]
    assert 0 < reached < 12
    for name in ("a", "b"):
        run = config(steps=12, validate_every=4)
        train(run, tmp_path / name, sources=[Shifted()], progress=False)
    torch.set_num_threads(threads)
    for name in ("weights.safetensors", "progress.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    one, two = (torch.load(tmp_path / n / "checkpoint.pt", weights_only=True) for n in ("a", "b"))
    assert one["optimiser"]["state"].keys() == two["optimiser"]["state"].keys()
    for part in ("network", "average"):
        assert all(torch.equal(one[part][k], two[part][k]) for k in two[part])


def test_a_full_disk_ends_a_run_and_loses_nothing(tmp_path, full_disk):
    """A traceback, exit code 1, and a folder of halves."""
    frames, folder = [Shifted()], tmp_path / "run"
    train(config(), folder, sources=frames, progress=False, stop_at=2)
    sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
    checkpoint = (folder / "checkpoint.pt").read_bytes()
    # The table, the weights and the checkpoint find no room, one after the other.
    for room in (10, sizes["weights.safetensors"] - 1, sizes["checkpoint.pt"] - 1):
        with full_disk(room), pytest.raises(FileError, match="cannot write") as caught:
            train(config(), folder, sources=frames, progress=False, stop_at=4)
        assert "\n" not in str(caught.value)
        assert (folder / "checkpoint.pt").read_bytes() == checkpoint
        load_network(folder / "weights.safetensors")
        assert {file.name for file in folder.iterdir()} == set(sizes)
    train(config(), folder, sources=frames, progress=False, stop_at=4)
    assert (folder / "progress.csv").read_text().count("\n") == 3


def test_batches_are_those_of_their_numbers():
    """Processes that prepare samples, or share a batch, would train on other ones."""
    settings = config(batch=4)
    frames = [Shifted()]
    for step, batch in enumerate(batch_loader(settings, frames, StepSampler(3, 5, 4), 2), 3):
        numbers = range(4 * step, 4 * step + 4)
        wanted = draw_batch(frames, [1.0], numbers, settings.seed, 64, settings.augmentation)
        parts = [next(iter(batch_loader(settings, frames, StepSampler(step, step + 1, 4, rank, 2))))
                 for rank in (0, 1)]  # fmt: skip
        for k, values in enumerate(wanted):
            np.testing.assert_array_equal(batch[k], values)
            np.testing.assert_array_equal(np.concatenate([part[k] for part in parts]), values)
    with pytest.raises(DataError, match="multiple of 3"):
        StepSampler(0, 1, 4, world=3)


def test_training_learns(tmp_path):
    """A sign or a scale wrong anywhere between samples and loss, and nothing is learned."""
    # Without the level at a quarter, whose first flow finds such shifts without learning.
    settings = config(steps=200, batch=4, network={"width": 0.25, "levels": [2, 1]},
                      half=False, validate_every=200, validation_frames=4, learning_rate=4e-3,
                      average=0.9,
                      augmentation=Augmentation(shift=0, missing=0, noise=0, invert=0))  # fmt: skip
    train(settings, tmp_path, sources=[Shifted()], progress=False)
    row = list(csv.DictReader((tmp_path / "progress.csv").read_text().split()))[-1]
    assert float(row["mean"]) < 0.5 * float(row["zero"])


def test_another_configuration_is_not_continued(tmp_path):
    """Weights of two recipes would be mixed under one card."""
    train(config(), tmp_path, sources=[Shifted()], progress=False, stop_at=2)
    with pytest.raises(DataError, match="another folder"):
        train(config(seed=5), tmp_path, sources=[Shifted()], progress=False)
    (tmp_path / "checkpoint.pt").write_bytes(b"broken")
    with pytest.raises(FileError, match="begin again"):
        train(config(), tmp_path, sources=[Shifted()], progress=False)


def test_a_checkpoint_of_another_shape(tmp_path):
    """It was a traceback of thirty lines."""
    train(config(), tmp_path, sources=[Shifted()], progress=False, stop_at=2)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    name = next(iter(state["network"]))
    state["network"][name] = torch.zeros(3, 3)
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(FileError, match=r"is not of this network: .*begin again") as caught:
        train(config(), tmp_path, sources=[Shifted()], progress=False)
    assert "\n" not in str(caught.value)


def test_two_runs_in_one_folder(tmp_path):
    """They would write one checkpoint, half of it each."""
    train(config(), tmp_path, sources=[Shifted()], progress=False, stop_at=2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with locked(tmp_path, inside=True), pytest.raises(FileError, match="another process"):
        train(config(), tmp_path, sources=[Shifted()], progress=False)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    train(config(), tmp_path, sources=[Shifted()], progress=False)
    assert not (tmp_path / ".lock").exists()


def test_fine_tuning_begins_with_the_weights(tmp_path):
    """Fine tuning would begin from scratch."""
    train(config(), tmp_path / "a", sources=[Shifted()], progress=False)
    start = tmp_path / "a" / "weights.safetensors"
    tuned = train(config(learning_rate=1e-12, weight_decay=0.0), tmp_path / "b",
                  sources=[Shifted()], start=start, progress=False, stop_at=2)  # fmt: skip
    one, two = (load_network(p).state_dict() for p in (start, tuned))
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=2e-3, rtol=0)
    other = config(architecture="window-cnn", network={"width": 0.125})
    with pytest.raises(DataError, match="unet"):
        train(other, tmp_path / "c", sources=[Shifted()], start=start)


def test_fine_tuning_builds_the_network_that_is_asked_for(tmp_path):
    """Settings of the weights, such as their levels, would be trained without a word."""
    torch.manual_seed(0)
    start = tmp_path / "start.safetensors"
    save_network(start, build_network("unet", width=0.125))
    asked = {"width": 0.125, "levels": [4, 4, 2, 1]}
    tuned = train(config(network=asked, learning_rate=1e-12, weight_decay=0.0), tmp_path / "a",
                  sources=[Shifted()], start=start, progress=False, stop_at=2)  # fmt: skip
    one, two = load_network(start), load_network(tuned)
    assert two.config["levels"] == [4, 4, 2, 1]
    for name, values in one.state_dict().items():
        torch.testing.assert_close(values, two.state_dict()[name], atol=2e-3, rtol=0)
    with pytest.raises(DataError, match=r"0\.25.*0\.125"):
        train(config(network={"width": 0.25}), tmp_path / "b", sources=[Shifted()], start=start)
    assert not (tmp_path / "b").exists()


def test_configuration_from_toml(tmp_path, capsys):
    """A typing error would train something else in silence."""
    path = tmp_path / "net.toml"
    path.write_text('steps = 5\n[[data]]\npath = "db.zarr"\n[augmentation]\nshift = 1\n')
    read = TrainConfig.from_file(path)
    assert (read.steps, read.augmentation.shift) == (5, 1)
    assert read.data[0].path == str(tmp_path / "db.zarr")
    assert read.digest() != TrainConfig.from_dict({**read.to_dict(), "steps": 6}).digest()
    for text, words in (
        ("stepz = 5", "stepz"), ("steps = -5", "steps=-5"), ("steps = [", "configuration"),
        ("steps = 5", "no data"),
    ):  # fmt: skip
        path.write_text(text + ('\n[[data]]\npath = "x"\n' if "5" not in words else "\n"))
        if words == "no data":
            path.write_text(text)
        assert main(["train", str(path), "--out", str(tmp_path / "out")]) == 2
        assert words.split("=")[0] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_first_line_after_ten_steps(tmp_path, capsys):
    """Else who began a run of days waits an hour to see how long it takes."""
    settings = config(steps=12, validate_every=12, batch=1)
    train(settings, tmp_path, sources=[Shifted()], stop_at=11)
    first, *_ = lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"step 10 of 12: learning, \d+\.\d\d s a step, \d+ min left", first)
    assert lines[1].startswith("step 11 of 12: training ")
    train(settings, tmp_path, sources=[Shifted()])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "resuming: 11 of 12 steps are there"
    assert lines[1].startswith("step 12 of 12: training ")
