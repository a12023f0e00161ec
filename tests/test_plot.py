"""Pictures: they are drawn, from every kind of field, with the right limits, places and arrows."""

import builtins

import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix import DataError, Fault, FileError, ModelError, SubpixError
from xsubpix import plot as pictures

pytest.importorskip("matplotlib")


def quake(rows=60, cols=80, pixel=20.0, crs="EPSG:32611", north_up=True):
    """A right-lateral step through the middle, striking north, and a gap."""
    y = 4e6 + pixel * (np.arange(rows) + 0.5) * (-1 if north_up else 1)
    x = 5e5 + pixel * (np.arange(cols) + 0.5)
    if crs == "EPSG:4326":
        x, y = 10 + (x - 5e5) / 1e5, 50 + (y - 4e6) / 1e5
    noise = np.random.default_rng(0).normal(0, 0.1, (2, rows, cols))
    north = np.where(np.arange(cols) < cols // 2, 1.0, -1.0) + noise[0]
    north[:5, :5] = np.nan
    north[20, 20] = 50.0
    data = {k: (("y", "x"), v.astype("f4"), {"units": "m"}) for k, v in
            (("east", noise[1]), ("north", north))}  # fmt: skip
    disp = xr.Dataset(data, coords={"y": y, "x": x})
    return disp.rio.write_crs(crs) if crs else disp.assign_attrs()


def trace_of(disp):
    x = float(disp.x.mean())
    return [[x, float(disp.y.min())], [x, float(disp.y.max())]]


def drawn(figure):
    """The figure's pixels: drawing finds what building does not."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


@pytest.mark.parametrize("crs", ["EPSG:32611", "EPSG:4326", None])
@pytest.mark.parametrize("north_up", [True, False])
def test_fields_of_every_kind(crs, north_up):
    """Else some grids cannot be drawn, or are drawn upside down."""
    disp = quake(crs=crs, north_up=north_up)
    figure = disp.subpix.plot(trace=trace_of(disp), title="a step")
    image = drawn(figure)
    assert image.std() > 10
    east, north, vectors = figure.axes[:3]
    assert [ax.get_title() for ax in (east, north, vectors)] == ["east", "north", "vectors"]
    mesh = north.get_images()[0]
    low, high = mesh.get_clim()
    # Symmetric, and not driven by the one false match of 50 m.
    assert -low == high < 2.0
    bottom, top = north.get_ylim()
    # Without a CRS, rows that count upward run down, as in an image.
    assert (top > bottom) == (crs is not None or north_up)
    quiver = next(c for c in vectors.collections if hasattr(c, "angles"))
    assert quiver.angles == "xy"
    east_of = np.greater(quiver.X, np.median(quiver.X))
    assert np.median(quiver.V[~east_of]) > 0.9
    assert np.median(quiver.V[east_of]) < -0.9


def test_rows_that_run_north_are_drawn_north_up():
    """Else an ascending grid comes out mirrored."""
    one, two = quake(), quake(north_up=False)
    images = [drawn(xsubpix.plot.plot_displacement(d, arrows=None)) for d in (one, two)]
    # The gap lies in the first rows: at the top of one, at the bottom of the other.
    grey = [np.abs(i[..., :3].astype(int) - 217).max(-1) < 3 for i in images]
    rows = [np.flatnonzero(g.any(1)).mean() for g in grey]
    # Letters and lines have grey edges in both.
    assert rows[0] + 10 < rows[1]


def test_other_components_and_limits():
    """Else rotated fields cannot be drawn, or a limit is not obeyed."""
    disp = quake()
    figure = disp.subpix.rotate(trace_of(disp)).subpix.plot(limit=3.0)
    assert [ax.get_title() for ax in figure.axes[:2]] == ["fault-parallel", "fault-perpendicular"]
    assert figure.axes[0].get_images()[0].get_clim() == (-3.0, 3.0)
    figure = disp.assign(quality=disp.east * 0 + 1).subpix.plot(components=("quality",))
    drawn(figure)
    drawn(pictures.plot_displacement(disp.subpix.to_pixels(), arrows=None))
    drawn(pictures.plot_displacement(disp * np.nan))
    with pytest.raises(DataError, match="quality"):
        disp.subpix.plot(components=("quality",))
    with pytest.raises(DataError, match="DataArray"):
        pictures.plot_displacement(disp.east)
    for options in ({"limit": 0}, {"arrows": 1}):
        with pytest.raises(ModelError, match=next(iter(options))):
            disp.subpix.plot(**options)


def test_rotated_grids():
    """Else a rotated image, which has no 1-D coordinates, cannot be drawn."""
    disp = quake(crs=None).drop_vars(["x", "y"])
    gt = {"GeoTransform": "5e5 8 3 4e6 2 -9"}
    disp = disp.assign_coords(spatial_ref=xr.Variable((), 0, gt)).rio.write_crs(32611)
    drawn(disp.subpix.plot())


def test_errors_are_drawn():
    """Else the error map shows something else than measured minus true."""
    disp = quake()
    truth = disp - 0.25
    for name in ("east", "north"):
        truth[name].attrs = disp[name].attrs
    figure = disp.subpix.plot.error(truth, trace=trace_of(disp))
    drawn(figure)
    shown = np.asarray(figure.axes[0].get_images()[0].get_array())
    np.testing.assert_allclose(shown[10:], 0.25, atol=1e-5)
    with pytest.raises(DataError, match="truth"):
        disp.subpix.plot.error(truth[["east"]])
    labels = [t.get_text() for t in figure.axes[3].get_legend().get_texts()]
    assert labels == ["median 0.354 m", "mean 0.354 m"]


def test_profiles_and_offsets(tmp_path):
    """Else the call for a field is used for a table."""
    disp = quake()
    x, y = float(disp.x[0]), float(disp.y.mean())
    profile = disp.subpix.profile([[x, y], [x + 1500, y]], width=200.0)
    figure = profile.subpix.plot(truth=profile)
    drawn(figure)
    assert len(figure.axes) == 2
    assert "right (m)" in figure.axes[1].get_ylabel()
    offsets = disp.subpix.offsets(trace_of(disp), spacing=200.0, half_length=500.0)
    figure = offsets.subpix.plot(truth=offsets, title="offsets")
    drawn(figure)
    figure.savefig(tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").stat().st_size > 5000
    for function, message in (
        (pictures.plot_profile, "profile"),
        (pictures.plot_offsets, "offsets"),
    ):
        with pytest.raises(DataError, match=message):
            function(disp)


def test_training_curves(tmp_path):
    """Else the table that training writes cannot be drawn."""
    (tmp_path / "progress.csv").write_text(
        "step,loss,val_epe,lr,seconds\n100,2.0,,0.001,10\n200,1.0,0.5,0.001,20\n300,0.5,,0.0,30\n"
    )
    figure = pictures.plot_training(tmp_path / "progress.csv")
    drawn(figure)
    labels = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert labels == ["loss", "val epe"]
    drawn(pictures.plot_training({"epoch": [1, 2], "loss": [1.0, -0.5]}, title="a"))
    (tmp_path / "empty.csv").write_text("step,loss\n")
    with pytest.raises(FileError, match="no rows"):
        pictures.plot_training(tmp_path / "empty.csv")
    with pytest.raises(FileError, match="cannot read"):
        pictures.plot_training(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="step"):
        pictures.plot_training({"loss": [1.0]})
    with pytest.raises(DataError, match="lengths"):
        pictures.plot_training({"step": [1, 2], "loss": [1.0]})


def test_pairs_are_compared():
    """Else the demonstration has no picture."""
    disp = quake().assign(quality=(("y", "x"), np.ones((60, 80), "f4")))
    image = disp.east.copy(data=np.random.default_rng(1).normal(size=(60, 80)))
    drawn(pictures.plot_comparison(image, image, disp, title="a pair"))
    drawn(pictures.plot_comparison(image, image, disp, disp))


def test_a_fault_is_a_trace():
    """Else synthetic ruptures are drawn without their fault, or at another place."""
    disp = quake()
    fault = Fault.from_trace(trace_of(disp), width=5e3, slip=1.0)
    figure = disp.subpix.plot(trace=fault, arrows=None)
    (line,) = figure.axes[0].get_lines()
    np.testing.assert_allclose(line.get_xdata(), 0.8, atol=1e-6)


def test_figures_of_ones_own():
    """Else a figure cannot be part of another, or shows as text in a notebook."""
    from matplotlib import pyplot as plt

    disp = quake()
    own = plt.figure()
    try:
        assert disp.subpix.plot(figure=own) is own
        assert len(own.axes) == 4
        parts = plt.figure(figsize=(12, 8), layout="constrained").subfigures(2, 1)
        disp.subpix.plot(figure=parts[0], arrows=None)
        disp.subpix.plot.error(disp, figure=parts[1])
        drawn(parts[0].figure)
    finally:
        plt.close("all")
    assert disp.subpix.plot()._repr_png_().startswith(b"\x89PNG")
    assert not plt.get_fignums()


def test_without_matplotlib(monkeypatch):
    """Else the message is an ImportError of somebody else."""
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(SubpixError, match=r"xsubpix\[plot\]"):
        quake().subpix.plot()
