"""Accessors do what the functions of the same names do, and nothing else."""

import inspect
import pydoc

import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix import DisplacementAccessor, ImageAccessor
from xsubpix.methods import as_method

METHODS = [
    (accessor, name)
    for accessor in (ImageAccessor, DisplacementAccessor)
    for name, _ in inspect.getmembers(accessor, inspect.isfunction)
    if not name.startswith("_")
]


@pytest.fixture
def image():
    return xr.DataArray(np.zeros((3, 3)), dims=("y", "x"))


def test_correlate(pair, identical):
    """Else the accessor drops or renames a parameter."""
    pre, post = pair
    options = {"model": "phase", "window": 16, "step": 8, "search": 3, "device": "cpu"}
    identical(pre.subpix.correlate(post, **options), xsubpix.correlate(pre, post, **options))


def test_epe_and_to_cog(pair, tmp_path):
    """Else the displacement's accessor calls something else."""
    disp = xsubpix.correlate(*pair, model="phase", window=16, step=8)
    xr.testing.assert_identical(disp.subpix.epe(disp), xsubpix.epe(disp, disp))
    disp.subpix.to_cog(tmp_path / "a.tif")
    assert (tmp_path / "a.tif").exists()
    with pytest.raises(xsubpix.FileError, match="overwrite"):
        disp.subpix.to_cog(tmp_path / "a.tif", overwrite=False)


@pytest.mark.parametrize(("accessor", "name"), METHODS)
def test_methods_have_the_functions_signatures(accessor, name):
    """Else editors and readers are told two different things."""
    method, function = getattr(accessor, name), getattr(xsubpix, name)
    own = list(inspect.signature(method).parameters.values())[1:]
    public = list(inspect.signature(function).parameters.values())[1:]
    assert own == public
    assert inspect.signature(method).return_annotation == (
        inspect.signature(function).return_annotation
    )
    first = next(iter(inspect.signature(function).parameters))
    assert {first: function.__annotations__[first], **method.__annotations__} == (
        function.__annotations__
    )


@pytest.mark.parametrize(("accessor", "name"), METHODS)
def test_methods_have_the_functions_documentation(accessor, name):
    """Else `?` speaks of an image or a field that the reader did not give."""
    method, function = getattr(accessor, name), getattr(xsubpix, name)
    documented = inspect.cleandoc(function.__doc__)
    assert method.__doc__.splitlines()[0] == documented.splitlines()[0]
    missing = set(documented.splitlines()) - set(method.__doc__.splitlines())
    first = next(iter(inspect.signature(function).parameters))
    assert any(line.startswith(f"{first} : ") for line in missing)
    names = list(inspect.signature(method).parameters)[1:]
    for line in documented.splitlines():
        if line.partition(" :")[0].split(",")[0].lstrip("*") in names:
            assert line in method.__doc__
    assert ("Parameters\n" in method.__doc__) == bool(names)


def test_every_function_of_a_field_is_a_method():
    """Else a new product is a function only, and nobody finds it on the field."""
    for name in xsubpix.__all__:
        thing = getattr(xsubpix, name)
        if not inspect.isfunction(thing) or not inspect.signature(thing).parameters:
            continue
        first = next(iter(inspect.signature(thing).parameters))
        accessor = {"disp": DisplacementAccessor, "pre": ImageAccessor}.get(first)
        opens = name.startswith("open_")
        assert accessor is None or opens or hasattr(accessor, name), name


def test_two_parameters_in_one_entry_are_refused():
    """Else `correlate?` says 'post: the image before and the image after'."""

    def measure(pre, post):
        """Measure.

        Parameters
        ----------
        pre, post : int
            The image before and the image after.
        """

    with pytest.raises(TypeError, match="'pre'"):
        as_method(measure)


def test_help_shows_the_parameters(image):
    """Else `help` shows `*args, **kwargs`."""
    text = pydoc.plain(pydoc.render_doc(image.subpix.correlate))
    assert "correlate(post: " in text
    assert "model: " in text
    assert "Image after" in text
    assert "Image before" not in text
    text = pydoc.plain(pydoc.render_doc(DisplacementAccessor))
    assert "offsets(self, trace: " in text
    assert "*args" not in text


def test_editors_show_the_parameters(image):
    """Else a notebook completes no keyword and shows no parameters on shift and tab."""
    jedi = pytest.importorskip("jedi", reason="needs jedi, which comes with IPython")

    def asked(code, method):
        # Jedi gives up where a machine is busy: ask again, as the reader does.
        for _ in range(20):
            if found := getattr(jedi.Interpreter(code, [{"image": image}]), method)():
                return found
        return []

    (signature,) = asked("image.subpix.correlate(", "get_signatures")
    assert [p.name for p in signature.params][:3] == ["post", "model", "window"]
    assert "Image after" in signature.docstring()
    keywords = asked("image.subpix.correlate(win", "complete")
    assert "window=" in {k.name_with_symbols for k in keywords}
    assert "correlate" in {n.name for n in asked("image.subpix.", "complete")}


def test_sphinx_shows_the_parameters():
    """Else the pages of methods hold no parameters."""
    sphinx = pytest.importorskip("sphinx.util.inspect", reason="needs sphinx, of the extra docs")
    signature = sphinx.signature(DisplacementAccessor.offsets, bound_method=True)
    shown = sphinx.stringify_signature(signature, show_annotation=False)
    assert shown.startswith("(trace, *, spacing, half_length")


def test_wrong_arguments_are_refused_as_by_the_function(image):
    """Else a misspelt keyword is met by an error about the helper."""
    with pytest.raises(TypeError, match=r"detrend\(\) got an unexpected keyword argument 'ordr'"):
        image.to_dataset(name="east").subpix.detrend(ordr=2)


def test_accessors_have_no_state(image):
    """Else results depend on what was called before."""
    assert list(vars(image.subpix)) == ["_object"]
    assert list(vars(image.to_dataset(name="a").subpix)) == ["_object"]
