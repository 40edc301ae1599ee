"""The same update on one device, on several by jit, and on several by pmap."""

import jax
import numpy as np
import pytest
from test_training import MODELS, noisy_copies, run_steps, tiny

from train.engine.devices import share
from train.engine.step import make_update

STEPS = 6


def assert_same(ours, theirs):
    """Equal up to the order in which float32 sums are taken."""
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", MODELS)
def test_devices_and_ways_agree(name):
    x, devices = noisy_copies(16), jax.devices()
    assert len(devices) >= 4
    one, on_one = run_steps(tiny(name, batch_size=16), STEPS, x, devices[:1])
    jit, by_jit = run_steps(tiny(name, batch_size=16), STEPS, x, devices[:4])
    assert_same(jit, one)
    assert_same(by_jit, on_one)
    if name in (
        "eonade",
        "made",
    ):  # they draw orderings or masks, and by pmap each device draws its own
        return
    pmap, by_pmap = run_steps(tiny(name, batch_size=16, parallel="pmap"), STEPS, x, devices[:4])
    assert_same(pmap, one)
    assert_same(by_pmap, on_one)


@pytest.mark.parametrize("name", ["fvsbn", "eonade"])
def test_devices_of_pmap_draw_noise_of_their_own(name):
    """Two devices with the same examples have the loss of one device, unless there is noise."""
    x = noisy_copies(8)
    _, one = run_steps(tiny(name, parallel="pmap"), 1, x, jax.devices()[:1])
    _, two = run_steps(
        tiny(name, parallel="pmap", batch_size=16), 1, np.concatenate([x, x]), jax.devices()[:2]
    )
    assert np.isclose(one[0].loss, two[0].loss, rtol=1e-6) == (name == "fvsbn")


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
@pytest.mark.parametrize(
    ("batch_size", "devices", "used"), [(10, 4, 2), (4, 3, 2), (7, 4, 1), (8, 4, 4), (3, 4, 3)]
)
def test_the_most_devices_that_divide_the_batch(parallel, batch_size, devices, used):
    recipe, x = tiny("nade", batch_size=batch_size, parallel=parallel), noisy_copies(batch_size)
    assert share(batch_size, jax.devices()[:devices]) == tuple(jax.devices()[:used])
    if (batch_size, parallel) in ((8, "jit"), (3, "jit"), (7, "pmap")):
        return  # as the others
    ours, by_ours = run_steps(recipe, 3, x, jax.devices()[:devices])
    one, by_one = run_steps(recipe, 3, x, jax.devices()[:1])
    assert_same(ours, one)
    assert_same(by_ours, by_one)


def test_the_default_batch_on_eight_devices():
    assert len(share(100, jax.devices()[:4] * 2)) == 5


def test_several_processes_need_equal_parts(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(
        ValueError,
        match=r"a batch of 10 .* by the 4 devices of 2 processes; pass --batch-size 12, or, to resume a run, start",
    ):
        make_update(tiny(batch_size=10), jax.devices()[:4])
    share(12, jax.devices()[:4])
