"""A notebook: what is shown, what is completed, what `?` says, how an error looks."""

import json
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient", reason="needs nbclient, of the extra tests")
nbformat = pytest.importorskip("nbformat", reason="needs nbformat, of the extra tests")
pytest.importorskip("ipykernel", reason="needs ipykernel, of the extra tests")

SETUP = """
import json
import xarray as xr
import xsubpix
from xsubpix.tutorial import procedural_scene

pre = procedural_scene((64, 64))
ds = xr.Dataset({"pre": pre, "post": pre.shift(x=1, fill_value=0.0)})
kernel = get_ipython().kernel

def completed(code):
    # Jedi, which IPython asks, gives up where a machine is busy: press tab again.
    for _ in range(20):
        if matches := kernel.do_complete(code, len(code))["matches"]:
            return matches
    return []

def asked(code):
    return kernel.do_inspect(code, len(code))["data"].get("text/plain", "")
"""
CORRELATE = 'ds.pre.subpix.correlate(ds.post, model="phase", window=16, step=4)'
CELLS = {
    "setup": SETUP,
    "eager": f"disp = {CORRELATE}\ndisp",
    "lazy": CORRELATE.replace("ds.", "ds.chunk().", 1),
    "summary": "disp.subpix.summary()",
    "plot": "disp.subpix.plot()",
    "completion": """
print(json.dumps({code: completed(code) for code in (
    "ds.pre.subpix.", "disp.subpix.", "disp.sub", "disp.subpix.plot.", "xsubpix.",
)}))
""",
    "help": """
names = {
    "ds.pre.subpix.": [n for n in dir(ds.pre.subpix) if n[0] != "_"],
    "disp.subpix.": [n for n in dir(disp.subpix) if n[0] != "_"],
}
print(json.dumps({
    n: asked(start + n).encode("ascii", "replace").decode()
    for start in names for n in names[start]
}))
""",
    "other grid": "ds.pre.subpix.correlate(ds.post.isel(x=slice(0, 32)))",
    "unknown model": 'ds.pre.subpix.correlate(ds.post, model="fase")',
    "inside a function": """
def mine(field):
    return field.subpix.mask(flags="cloud")

mine(disp)
""",
    "no field": "ds.subpix.detrend()",
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Run all cells once, as Jupyter does; outputs by the cell's name."""
    import os
    import warnings

    # Older kernels of Jupyter warn of their own matters.
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        patch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        patch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in CELLS.values()]
        )
        nbclient.NotebookClient(
            notebook, timeout=300, kernel_name="python3", allow_errors=True
        ).execute()
    return {name: cell.outputs for name, cell in zip(CELLS, notebook.cells, strict=True)}


def result(cell: list[Any]) -> dict[str, str]:
    """What a cell's last line shows, by MIME type."""
    (shown,) = [out for out in cell if out.output_type == "execute_result"]
    return dict(shown.data)


def printed(cell: list[Any]) -> Any:
    """The JSON that a cell printed."""
    assert [out.output_type for out in cell] == ["stream"], cell
    return json.loads(cell[0].text)


def test_a_field_shows_itself(outputs: dict[str, list[Any]]) -> None:
    """If it fails, the first cell of a user shows no table, or one without units."""
    assert outputs["setup"] == []
    for name in ("eager", "lazy"):
        shown = result(outputs[name])
        for word in ("east", "north", "sigma", "flags", "units", "spatial_ref", "model"):
            assert word in shown["text/html"]
        assert "<dt><span>units :</span></dt><dd>m</dd>" in shown["text/html"]
        assert len(shown["text/plain"].splitlines()) < 40
    assert "dask" in result(outputs["lazy"])["text/plain"]


def test_summary_and_plot_are_shown(outputs: dict[str, list[Any]]) -> None:
    """If it fails, `summary()` is a bare object, or `plot()` no picture or two of them."""
    summary = result(outputs["summary"])
    assert "<table" in summary["text/html"]
    assert "east" in summary["text/plain"]
    pictures = [out for out in outputs["plot"] if "image/png" in out.get("data", {})]
    assert len(pictures) == 1


def test_tab_completes(outputs: dict[str, list[Any]]) -> None:
    """If it fails, methods have to be known by heart."""
    matches = printed(outputs["completion"])

    def ends(code: str) -> set[str]:
        return {match.rpartition(".")[2] for match in matches[code]}

    assert ends("ds.pre.subpix.") == {
        "align", "correlate", "regrid", "synthetic_rupture", "training_samples", "warp_quintic"
    }  # fmt: skip
    assert {"detrend", "offsets", "rotate", "plot", "to_cog", "summary"} <= ends("disp.subpix.")
    assert "subpix" in ends("disp.sub")
    assert "error" in ends("disp.subpix.plot.")
    assert {"correlate", "open_displacement"} <= ends("xsubpix.")


def test_question_mark_explains(outputs: dict[str, list[Any]]) -> None:
    """If it fails, `disp.subpix.offsets?` sends the reader elsewhere."""
    for name, text in printed(outputs["help"]).items():
        assert "Docstring" in text or name == "plot", name
        if name in ("magnitude", "azimuth", "to_pixels", "true_north", "summary", "plot"):
            continue
        assert "Parameters\n" in text, name
        assert "\ndisp : xarray.Dataset\n" not in text, name
    helped = printed(outputs["help"])
    assert "spacing : float" in helped["offsets"]
    assert "\npost : xarray.DataArray" in helped["correlate"]
    assert "Returns\n" in helped["magnitude"]


@pytest.mark.parametrize(
    ("cell", "error", "words"),
    [
        ("other grid", "GridError", "32"),
        ("unknown model", "ModelError", "Did you mean 'phase'?"),
        ("inside a function", "ModelError", "flags='cloud'"),
        ("no field", "DataError", "'east'"),
    ],
)
def test_errors_are_short(outputs: dict[str, list[Any]], cell: str, error: str, words: str) -> None:
    """If it fails, what is wrong stands below screens of other people's code."""
    (out,) = outputs[cell]
    assert out.output_type == "error"
    assert out.ename == error
    assert words in out.evalue
    assert len(out.evalue.splitlines()) < 5
    lines = "\n".join(out.traceback).splitlines()
    assert len(lines) <= 10, lines
    assert lines[-1].startswith(error)
    # The user's own line is there, and nobody else's.
    source = CELLS[cell].strip().splitlines()[-1]
    assert any(source in line for line in lines)
    assert not any("xsubpix/" in line for line in lines)
