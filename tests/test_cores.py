"""The cores of a processor share a batch: nothing changes but the time."""

import threading

import jax
import numpy as np
import pytest

import sample
import zoo
from sample.coding import codec, container
from sample.engines import cores, sampler
from zoo.foundation.processes import local_mesh


@pytest.fixture
def three_cores(monkeypatch):
    """One device with three cores, of which each takes a row or more."""
    one = jax.sharding.Mesh(local_mesh().devices[:1], local_mesh().axis_names)
    for module in (sampler, codec):
        monkeypatch.setattr(module, "local_mesh", lambda: one)
    for module in (cores, codec):
        monkeypatch.setattr(module, "cores", lambda: 3)
    monkeypatch.setattr(cores, "LEAST_ROWS", 1)
    monkeypatch.setattr(cores, "LEAST_WORK", 1)


def test_parts_of_a_batch_are_the_batch(three_cores, monkeypatch):
    model = zoo.CATALOGUE["nade"].tiny
    variables = zoo.init(model, jax.random.key(0), *model.example(1))
    sizes = [size for _, size in sampler._parts(0, 7, 1, 256, 3, exact=False)]
    assert sizes == [4, 4]  # 3 rows are rounded up, and two parts are enough
    shared = sample.draw(model, variables, jax.random.key(1), 7)
    short = sample.draw(model, variables, jax.random.key(1), 7, batch_size=3)
    monkeypatch.setattr(cores, "cores", lambda: 1)
    alone = sample.draw(model, variables, jax.random.key(1), 7)
    for drawn in (shared, short):
        np.testing.assert_array_equal(drawn.x, alone.x)
        np.testing.assert_allclose(drawn.log_prob, alone.log_prob, rtol=1e-6)


@pytest.mark.parametrize(("batch", "total"), [(256, 1000), (100, 64), (3, 7), (1, 5), (7, 1)])
def test_parts_cover_all_samples_once_within_the_batch(batch, total):
    pieces = list(sampler._parts(0, total, 1, batch, 2, exact=False))
    ends = [start + size for start, size in pieces]
    assert [start for start, _ in pieces] == [0, *ends[:-1]] and ends[-1] >= total > ends[
        -1
    ] - batch
    assert max(size for _, size in pieces) <= -(-batch // 2)


def test_calls_run_in_threads_unless_jax_is_set_otherwise_here():
    names = cores.together([lambda: threading.current_thread().name] * 2, threads=2)
    assert threading.current_thread().name not in names
    with jax.default_matmul_precision("float32"):
        names = cores.together([lambda: threading.current_thread().name] * 2, threads=2)
    assert {threading.current_thread().name} == set(names)


def test_a_failure_in_a_part_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        cores.together([lambda: 1, lambda: 1 // 0], threads=2)


def test_what_is_shared_among_cores(three_cores, monkeypatch):
    mesh, model = sampler.local_mesh(), zoo.CATALOGUE["nade"].tiny
    variables = zoo.init(model, jax.random.key(0), *model.example(1))
    assert cores.parts_of(16, model, variables, None, mesh) == 3
    assert cores.parts_of(2, model, variables, None, mesh) == 2
    assert cores.parts_of(16, model, variables, None, local_mesh()) == 1
    monkeypatch.setattr(cores, "LEAST_WORK", 8 * cores._work(model, variables, None))
    assert cores.parts_of(16, model, variables, None, mesh) == 2
    large = {"w": np.broadcast_to(np.float32(0), 1 << 25)}
    assert cores.parts_of(16, model, large, None, mesh) == 1


def test_a_file_has_several_streams_which_cost_nothing(three_cores):
    model = zoo.FVSBN((10, 10))
    variables = zoo.init(model, jax.random.key(0), *model.example(1))
    x = np.random.RandomState(0).randint(0, 2, (350, 10, 10))
    for num, streams in ((350, 3), (9, 1)):
        header, payload = codec.coded(model, variables, x[:num])
        assert len(header["sizes"]) == len(header["growth"]) == streams
        nats = np.asarray(zoo.log_prob(model, variables, x[:num]), np.float64).sum()
        bits = -float(nats) / np.log(2)
        assert 0 < 8 * len(payload) - bits <= 64 + 0.001 * bits
        back = sample.decompress(model, variables, container.wrapped(header, payload))
        np.testing.assert_array_equal(back, x[:num])
