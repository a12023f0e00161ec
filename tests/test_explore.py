"""The page to look at: whole in one file, and alive in a browser."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix import DataError, FileError, GridError, ModelError

pytest.importorskip("bokeh")

# Chooses `north`, points at a place of the map, and says what the page then shows.
PROBE = """
<script>
const models = () => [...Bokeh.documents[0]._all_models.values()];
const find = (type) => models().filter((m) => m.type === type);
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
function under(x, y) {
  let element = document.elementFromPoint(x, y);
  while (element && element.shadowRoot) {
    const inner = element.shadowRoot.elementFromPoint(x, y);
    if (!inner || inner === element) break;
    element = inner;
  }
  return element;
}
(async () => {
  while (!window.Bokeh || !Bokeh.documents.length) await wait(50);
  await wait(1500);
  find("RadioButtonGroup")[0].active = 1;
  await wait(200);
  const target = under(POINT);
  const options = {
    clientX: POINT_X, clientY: POINT_Y, bubbles: true, composed: true, isPrimary: true,
    pointerType: "mouse", pointerId: 1,
  };
  for (const name of ["pointerenter", "pointermove", "mousemove"]) {
    target.dispatchEvent(new PointerEvent(name, options));
  }
  await wait(500);
  const tips = [];
  (function search(root) {
    for (const element of root.querySelectorAll("*")) {
      if (/tooltip/i.test(element.className)) tips.push(element.shadowRoot?.textContent ?? "");
      if (element.shadowRoot) search(element.shadowRoot);
    }
  })(document);
  const curves = find("ColumnDataSource").map((s) => s.data).filter((d) => d.at);
  find("Slider")[0].value = 0.75;
  await wait(100);
  const out = document.createElement("pre");
  out.id = "probe";
  out.textContent = JSON.stringify({
    curves: curves.map((d) => [Array.from(d.at), Array.from(d.value)]),
    tips: tips.join(" "),
    alphas: find("Image").map((g) => g.global_alpha.value ?? g.global_alpha),
    bar: find("ColorBar")[0].title,
    spinners: find("Spinner").map((s) => s.value),
    width: document.documentElement.scrollWidth,
    limits: find("LinearColorMapper").map((m) => [m.low, m.high]),
  });
  document.body.appendChild(out);
})();
</script>
"""


@pytest.fixture
def scene(utm):
    """A field whose rows and columns can be told apart, and its two images."""
    rng = np.random.default_rng(0)
    pre = utm(rng.uniform(0, 1000, (60, 80)).astype("f4"))
    y, x = np.mgrid[:60, :80]
    east = pre.copy(data=(0.01 * x).astype("f4"))
    north = pre.copy(data=(-1.0 + 0.1 * y).astype("f4")).where(pre.x > pre.x[3])
    disp = xr.Dataset({"east": east, "north": north, "quality": 0 * east + 0.5})
    flags = pre.copy(data=np.where(x == 10, 4, 0).astype("u1"))
    names = {"flag_masks": np.array([1, 4], "u1"), "flag_meanings": "nodata low_texture"}
    disp["flags"] = flags.assign_attrs(names)
    return disp, pre, pre.copy(data=pre.values[::-1])


def browser():
    found = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


def look(page, folder):
    """What the probe reports from a headless browser, and what the console said."""
    path = folder / "page.html"
    probe = PROBE.replace("POINT_X", "300").replace("POINT_Y", "300").replace("POINT", "300, 300")
    # The last one: Bokeh's own code has the word in it.
    before, end, after = page.rpartition("</body>")
    path.write_text(before + probe + end + after, encoding="utf-8")
    run = subprocess.run(
        [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
         f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=15000",
         "--window-size=1300,950", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    console = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    found = re.search(r'<pre id="probe">(.*?)</pre>', run.stdout, re.S)
    return json.loads(found[1]) if found else None, console


def test_the_page_lives(scene, tmp_path):
    """Else a choice, the pointer or the slider does nothing, or a script fails."""
    disp, pre, post = scene
    x, y = float(pre.x.mean()), float(pre.y.mean())
    page = disp.subpix.explore(pre, post, trace=[[x, y - 5000], [x, y + 5000]]).page
    seen, console = look(page, tmp_path)
    assert not [line for line in console if "rror" in line], console
    assert seen is not None
    # North was chosen: the same along a row but for the gap, rising along a column.
    (at_x, row), (at_y, col) = seen["curves"]
    assert (len(at_x), len(at_y)) == (80, 60)
    row, col = np.array(row, float), np.array(col, float)
    assert np.isnan(row[:4]).all()
    assert np.nanmax(row[4:]) - np.nanmin(row[4:]) < 1e-5
    # What is flagged is grey on the map, and a gap in the profile.
    assert np.flatnonzero(np.isnan(row)).tolist() == [0, 1, 2, 3, 10]
    # The bar has the unit of what is shown, and the map fills the window.
    assert seen["bar"] == "north (m)"
    assert seen["spinners"][1] == pytest.approx(4.8, abs=0.1)
    assert seen["width"] > 1250
    # Upward on the page is northward: down the rows.
    np.testing.assert_allclose(np.diff(col), -0.1, atol=1e-5)
    assert row[-1] in np.round(col, 6) or np.abs(col - row[-1]).min() < 1e-5
    # Places are kilometres from the corner.
    np.testing.assert_allclose(at_x, 0.005 + 0.01 * np.arange(80), atol=1e-9)
    # Another limit than east's, and the second image shines through.
    assert any(abs(high - 4.8) < 0.1 and low == -high for low, high in seen["limits"])
    assert 0.75 in seen["alphas"]
    # Under the pointer are values, units and the names of flags.
    assert re.search(r"north.*-?\d\.\d{3} m.*flags.*none", seen["tips"], re.S), seen["tips"]


def test_the_page_needs_no_network(scene, tmp_path):
    """Else a file sent to a colleague is blank on a train."""
    disp, pre, post = scene
    explorer = xsubpix.explore(disp, pre, post)
    explorer.save(tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert text == explorer.page
    # Nothing is loaded: neither scripts nor styles nor pictures by address.
    assert not re.search(r"<(script|link|img)[^>]+(src|href)\s*=\s*[\"']?https?:", text)
    assert "srcdoc" in explorer._repr_html_()
    assert "MB" in repr(explorer)
    with pytest.raises(FileError, match="cannot write"):
        explorer.save(tmp_path / "absent" / "a.html")


def test_large_fields_are_thinned(utm):
    """Else a scene of 10,000 pixels makes a page of a gigabyte, or moves when thinned."""
    from xsubpix.explore import _thin, _thinned_box

    values = np.arange(7 * 10.0).reshape(7, 10)
    values[0, 0] = np.nan
    small = _thin(values, 4)
    assert small.shape == (3, 4)
    assert small[0, 0] == pytest.approx(np.nanmean(values[:3, :3]))
    assert small[2, 3] == pytest.approx(values[6, 9])
    box = _thinned_box({"x": 1.0, "y": 2.0, "dw": 10.0, "dh": 7.0}, (7, 10), 4)
    assert box == {"x": 1.0, "y": 2.0, "dw": 12.0, "dh": 9.0}
    one = utm(np.zeros((300, 400), "f4"))
    disp = xr.Dataset({"east": one, "north": one.copy()}).chunk(100)
    assert len(xsubpix.explore(disp, max_size=50).page) < len(xsubpix.explore(disp).page)


def test_limits_and_flags(scene):
    """Else two pages cannot be compared, or nobody sees why a place is grey."""
    disp, *_ = scene
    page = disp.subpix.explore(vmax=2.5).page
    assert '"low":-2.5,"high":2.5' in page.replace(" ", "")
    assert "@flags{custom}" in page
    assert "low_texture" in page
    assert "@flags{custom}" not in disp.drop_vars("flags").subpix.explore().page
    # What is not shown has no say in the limits.
    disp.flags[:, 10:14] = 4
    disp["east"] = disp.east.where(disp.flags == 0, 900.0)
    assert '"high":0.7' in disp.subpix.explore().page.replace(" ", "")
    assert '"high":900' in disp.subpix.explore(keep_unsure=True).page.replace(" ", "")


@pytest.mark.parametrize("kind", ["none", "degrees", "rotated"])
def test_other_grids(kind, image):
    """Else only projected, upright grids have a page."""
    one = image(np.random.default_rng(0).normal(size=(20, 30)).astype("f4"))
    if kind == "degrees":
        one = one.assign_coords(y=50 - 0.01 * np.arange(20), x=10 + 0.01 * np.arange(30))
        one = one.rio.write_crs(4326)
    elif kind == "rotated":
        gt = {"GeoTransform": "5e5 8 3 4e6 2 -9"}
        one = one.assign_coords(spatial_ref=xr.Variable((), 0, gt)).rio.write_crs(32611)
    disp = xr.Dataset({"east": one, "north": one.copy()})
    trace = {"none": [[0, 5], [20, 5]], "degrees": [[10.0, 49.9], [10.2, 49.9]],
             "rotated": [[500010.0, 3999990.0], [500100.0, 3999900.0]]}[kind]  # fmt: skip
    assert len(disp.subpix.explore(one, one, trace=trace).page) > 1e5


def test_refused(scene, utm):
    """Else the error comes from inside the page's maker."""
    disp, pre, _ = scene
    with pytest.raises(DataError, match="go together"):
        disp.subpix.explore(pre)
    with pytest.raises(ModelError, match="lower one first"):
        disp.subpix.explore(vmin=2, vmax=1)
    with pytest.raises(ModelError, match="max_size"):
        disp.subpix.explore(max_size=1)
    with pytest.raises(GridError, match="EPSG"):
        disp.subpix.explore(*[utm(np.ones((20, 20)), crs="EPSG:32612")] * 2)
