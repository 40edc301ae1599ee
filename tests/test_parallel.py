"""The same update on one device, on several by jit, and on several by pmap."""

import jax
import numpy as np
import pytest
from test_training import MODELS, noisy_copies, run_steps, tiny

from train.update import make_update

STEPS = 6


def assert_same(ours, theirs):
    """Equal up to the order in which float32 sums are taken."""
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", MODELS)  # the tiny MADE resamples its masks
def test_devices_and_ways_agree(name):
    x, devices = noisy_copies(16), jax.devices()
    assert len(devices) >= 4
    one, on_one = run_steps(tiny(name, batch_size=16), STEPS, x, devices[:1])
    jit, by_jit = run_steps(tiny(name, batch_size=16), STEPS, x, devices[:4])
    pmap, by_pmap = run_steps(tiny(name, batch_size=16, parallel="pmap"), STEPS, x, devices[:4])
    assert_same(jit, one)
    assert_same(by_jit, on_one)
    if name == "eonade":  # it draws an ordering for each example, and by pmap all devices draw the same ones
        return
    assert_same(pmap, one)
    assert_same(by_pmap, on_one)


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_batch_must_divide_among_the_devices(parallel):
    with pytest.raises(ValueError, match=r"a batch of 10 cannot be shared equally by 4 devices.*--batch-size 12"):
        make_update(tiny(batch_size=10, parallel=parallel), jax.devices()[:4])
