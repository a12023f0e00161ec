"""Every chunking gives NumPy's pixels, bit for bit; graphs are lazy, small and deterministic."""

import pickle

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import xsubpix
from xsubpix.estimators.phase import Phase
from xsubpix.lattice import Lattice, map_blocks

OPTIONS = {"window": 12, "step": 3, "search": 6}


@pytest.fixture(scope="module")
def expected(pair):
    """The NumPy path's answer."""
    return xsubpix.correlate(*pair, model="phase", **OPTIONS)


class Untouchable:
    """An array source that raises when it is read."""

    shape, dtype, ndim = (75, 91), np.dtype("f4"), 2

    def __getitem__(self, key):
        raise AssertionError("pixels were read while the graph was built")


def untouchable(chunks):
    source = da.from_array(
        Untouchable(), chunks=chunks, name=f"untouchable-{chunks}", meta=np.empty((0, 0), "f4")
    )
    return xr.DataArray(source, dims=("y", "x"))


# --------------------------------------------------------------- same pixels


def test_every_chunking_gives_numpys_pixels(pair, expected, chunked, identical):
    """Else results depend on how a file happens to be blocked."""
    pre, post = chunked(*pair)
    identical(xsubpix.correlate(pre, post, model="phase", **OPTIONS), expected)


def test_every_chunking_with_missing_data(pair, chunked, identical):
    """Else nodata at a chunk's border changes what lies in the next chunk."""
    pre, post = (im.copy() for im in pair)
    pre[20:31, 30:60] = np.nan
    post[60:, :40] = -1.0
    post.attrs["_FillValue"] = -1.0
    expected = xsubpix.correlate(pre, post, model="phase", **OPTIONS)
    identical(xsubpix.correlate(*chunked(pre, post), model="phase", **OPTIONS), expected)


@pytest.mark.parametrize("step", [1, 8])
def test_several_blocks(scene, image, identical, step, monkeypatch):
    """Else blocks overlap, leave gaps or see other pixels than NumPy's loop gives them."""
    monkeypatch.setattr(Lattice, "block", property(lambda self: self.tile))
    monkeypatch.setattr(Phase, "tile", property(lambda self: 24 // step))
    shape = (60, 50)
    pre, post = image(scene(shape)), image(scene(shape, (1.3, -0.7)))
    whole = xsubpix.correlate(pre, post, model="phase", window=12, search=4, step=step)
    lazy = xsubpix.correlate(
        pre.chunk(40), post.chunk(y=10), model="phase", window=12, search=4, step=step
    )
    assert lazy.east.data.numblocks == (3, 3 if step == 1 else 2)
    identical(lazy, whole)
    assert abs(float(whole.east.median()) - 1.3) < 0.02


def test_tiling_moves_nothing(pair, monkeypatch):
    """Else a value depends on the tile it is in beyond rounding."""
    whole = xsubpix.correlate(*pair, model="phase", window=16, step=4)
    monkeypatch.setattr(Phase, "tile", property(lambda self: 3))
    small = xsubpix.correlate(*pair, model="phase", window=16, step=4)
    inside = (whole.flags == 0) & (small.flags == 0)
    assert float(inside.mean()) > 0.5
    for name in ("east", "north"):
        assert float(abs(whole[name] - small[name]).where(inside).max()) < 5e-3


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_schedulers_agree(pair, expected, identical, scheduler):
    """Else results depend on threads that share state."""
    pre, post = (im.chunk(30) for im in pair)
    with dask.config.set(scheduler=scheduler):
        identical(xsubpix.correlate(pre, post, model="phase", **OPTIONS).compute(), expected)


def test_processes(pair, identical):
    """Else the graph cannot travel to other processes, or comes back different."""
    pre, post = (im[:32, :32] for im in pair)
    lazy = xsubpix.correlate(pre.chunk(16), post.chunk(16), model="phase", window=16, step=16)
    with dask.config.set(scheduler="processes", num_workers=1):
        computed = lazy.compute()
    identical(computed, xsubpix.correlate(pre, post, model="phase", window=16, step=16))


# ----------------------------------------------------------------------- lazy


@pytest.mark.parametrize("step", [1, 4])
def test_building_the_graph_reads_no_pixel(step):
    """Else a scene is read, or computed, before anybody asked."""
    disp = xsubpix.correlate(
        untouchable((40, 30)), untouchable((7, 91)), model="phase", window=16, step=step
    )
    for variable in disp.data_vars.values():
        assert isinstance(variable.data, da.Array)
    with pytest.raises(AssertionError, match="pixels were read"):
        disp.east.compute()


def test_eager_in_eager_out(pair):
    """Else NumPy images give dask fields, or one lazy image of two is computed."""
    pre, post = pair
    eager = xsubpix.correlate(pre, post, model="phase", **OPTIONS)
    assert all(isinstance(v.data, np.ndarray) for v in eager.data_vars.values())
    for one, two in ((pre.chunk(), post), (pre, post.chunk())):
        lazy = xsubpix.correlate(one, two, model="phase", **OPTIONS)
        assert all(isinstance(v.data, da.Array) for v in lazy.data_vars.values())


def test_declared_chunks_dtypes_and_meta_are_the_computed(pair):
    """Else dask places later blocks wrongly."""
    pre, post = (im.chunk(y=20, x=33) for im in pair)
    disp = xsubpix.correlate(pre, post, model="phase", **OPTIONS)
    for variable in disp.data_vars.values():
        array = variable.data
        assert isinstance(array._meta, np.ndarray)
        for index in np.ndindex(array.numblocks):
            block = array.blocks[index].compute()
            assert block.shape == tuple(c[i] for c, i in zip(array.chunks, index, strict=True))
            assert block.dtype == array.dtype


# -------------------------------------------------------------- deterministic


def test_same_call_same_names(pair):
    """Else dask's caches and distributed's futures never recognise a field."""
    pre, post = (im.chunk(30) for im in pair)
    one = xsubpix.correlate(pre, post, model="phase", **OPTIONS)
    two = xsubpix.correlate(pre.copy(), post.copy(), model="phase", **OPTIONS)
    for name in one.data_vars:
        assert one[name].data.name == two[name].data.name
        assert set(one[name].data.dask) == set(two[name].data.dask)


def test_other_parameters_other_names(pair, utm):
    """Else two fields computed together give one of them twice."""
    pre, post = (im.chunk(30) for im in pair)
    placed = utm(pair[0].values).chunk(30)
    names = set()
    fields = [
        xsubpix.correlate(pre, post, model="phase", **OPTIONS),
        xsubpix.correlate(post, pre, model="phase", **OPTIONS),
        xsubpix.correlate(pre, post, model="phase", **{**OPTIONS, "window": 18}),
        xsubpix.correlate(pre, post, model="phase", **{**OPTIONS, "step": 4}),
        xsubpix.correlate(pre, post, model="phase", **{**OPTIONS, "search": 9}),
        xsubpix.correlate(pre.assign_attrs(_FillValue=100.0), post, model="phase", **OPTIONS),
        xsubpix.correlate(pre, post.assign_attrs(_FillValue=100.0), model="phase", **OPTIONS),
        xsubpix.correlate(placed, placed.copy(data=post.data), model="phase", **OPTIONS),
        xsubpix.correlate(pre, post[::-1], model="phase", **OPTIONS),
    ]
    for disp in fields:
        names.update(variable.data.name for variable in disp.data_vars.values())
    assert len(names) == 5 * len(fields)


def test_nodata_is_kept_apart_when_computed_together(pair):
    """Else a field with declared nodata comes out as the one without, or the other way round."""
    pre, post = (im.chunk(30) for im in pair)
    marked = pre.where(pre < 120, 120.0)
    plain = xsubpix.correlate(marked, post, model="phase", **OPTIONS)
    masked = xsubpix.correlate(
        marked.assign_attrs(_FillValue=120.0), post, model="phase", **OPTIONS
    )
    together = dask.compute(plain.quality, masked.quality)
    for a, b in zip(together, (plain.quality, masked.quality), strict=True):
        np.testing.assert_array_equal(a, b.compute())
    assert not np.array_equal(*(a.values for a in together), equal_nan=True)


# ----------------------------------------------------------- small and bounded


def own_layers(array):
    return {k: v for k, v in array.dask.layers.items() if k.startswith("subpix-")}


def test_graph_holds_no_image():
    """Else a graph sent to a cluster carries gigabytes."""
    source = da.zeros((4096, 4096), chunks=1024, dtype="u2")
    pre = xr.DataArray(source, dims=("y", "x"))
    disp = xsubpix.correlate(pre, pre + np.uint16(1), model="phase", step=4)
    blocks = disp.east.data.npartitions
    assert 16 <= blocks <= 1024
    # About 1 kB for a block's keys and places.
    assert len(cloudpickle.dumps(disp.east.data.dask)) < 2_000 * 25 * blocks
    own = own_layers(disp.east.data)
    assert own
    assert sum(len(pickle.dumps(dict(layer))) for layer in own.values()) < 20_000 * blocks


def test_a_task_touches_its_neighbours_only():
    """Else memory grows with the scene."""
    pre = xr.DataArray(da.zeros((3000, 3000), chunks=512, dtype="u1"), dims=("y", "x"))
    disp = xsubpix.correlate(pre, pre, model="phase", step=4)
    array = disp.east.data
    side = max(max(c) for c in Lattice((3000, 3000), 4, 32, 32).in_chunks())
    assert side <= 1024
    rows = {}
    for name, layer in own_layers(array).items():
        if not name.startswith("subpix-correlate-all"):
            continue
        for key, needed in dict(layer).items():
            text = flatten(needed)
            sources = {k[0] for k in text}
            for source in sources:
                near = {k[1:] for k in text if k[0] == source}
                assert len(near) <= 9
                i, j = key[1:]
                assert all(abs(i - a) <= 1 and abs(j - b) <= 1 for a, b in near)
                rows[key] = near
    assert len(rows) == array.npartitions


def flatten(task):
    """Keys (name, i, j) of arrays that a task of a graph refers to."""
    found = []
    stack = [task]
    while stack:
        item = stack.pop()
        if isinstance(item, tuple) and len(item) == 3 and isinstance(item[0], str):
            found.append(item)
        elif isinstance(item, list | tuple):
            stack.extend(item)
    return found


def test_large_halo_small_blocks(identical, scene, image):
    """Else a halo larger than a block's neighbours is cut."""
    pre, post = image(scene((75, 91))), image(scene((75, 91), (5.0, 0.0)))
    options = {"model": "phase", "window": 16, "step": 8, "search": 60}
    lazy = xsubpix.correlate(pre.chunk(20), post.chunk(11), **options)
    identical(lazy, xsubpix.correlate(pre, post, **options))


# ------------------------------------------------------------------ the lattice


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (40, 5), (33, 47)])
@pytest.mark.parametrize("halo", [0, 2, 9])
def test_blocks_see_their_pixels_and_nothing_else(shape, step, halo):
    """Else outputs are shifted, padded with zeros, or blocks overlap."""
    if min(shape) < step:
        return
    lattice = Lattice(shape, step, halo, tile=2, block_pixels=12)
    index = np.arange(np.prod(shape), dtype="f8").reshape(shape)

    def check(blocks, row, col, rows, cols):
        (block,) = blocks
        tiles = lattice.tiles(block)
        outs = np.full((rows, cols), -1.0)
        for i, j in np.ndindex(tiles.shape[:2]):
            core = tiles[i, j][halo : halo + 2 * step : step, halo : halo + 2 * step : step]
            part = outs[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            part[:] = core[: part.shape[0], : part.shape[1]]
        yy = np.arange(row * step - halo, row * step - halo + block.shape[0])
        xx = np.arange(col * step - halo, col * step - halo + block.shape[1])
        inside = ((yy >= 0) & (yy < shape[0]))[:, None] & ((xx >= 0) & (xx < shape[1]))
        np.testing.assert_array_equal(np.isfinite(block), inside)
        return (outs,)

    args = {"conditions": [lambda x: x], "name": "check"}
    (eager,) = map_blocks(check, [index], lattice, ["f8"], **args)
    rows, cols = lattice.out_shape
    np.testing.assert_array_equal(eager, index[::step, ::step][:rows, :cols])
    lazy = da.from_array(index, chunks=7)
    (out,) = map_blocks(check, [lazy], lattice, ["f8"], **args)
    with dask.config.set(scheduler="synchronous"):
        np.testing.assert_array_equal(out.compute(), eager)


def test_chunks_of_input_and_output_match():
    """Else the remainder at the far border has no block, or an empty one."""
    lattice = Lattice((107, 30), 3, 5, tile=4, block_pixels=24)
    outs, ins = lattice.out_chunks(), lattice.in_chunks()
    assert tuple(map(sum, outs)) == lattice.out_shape == (35, 10)
    assert tuple(map(sum, ins)) == (107, 30)
    assert [len(c) for c in outs] == [len(c) for c in ins]
    assert all(n > 0 for c in (*outs, *ins) for n in c)
    assert len(list(lattice.blocks())) == len(outs[0]) * len(outs[1])
