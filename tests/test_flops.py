"""Counting the operations of a likelihood."""

import jax
import jax.numpy as jnp
import pytest

import zoo
from zoo.foundation.flop_counter import flops


def test_matmuls_convolutions_and_scans_are_counted():
    a, b = jnp.ones((7, 3, 4)), jnp.ones((7, 4, 5))
    assert flops(jnp.matmul, a, b) == 2 * 7 * 3 * 4 * 5
    image, kernel = jnp.ones((2, 6, 6, 3)), jnp.ones((3, 3, 3, 8))
    convolve = jax.jit(
        lambda x, k: jax.lax.conv(x.transpose(0, 3, 1, 2), k.transpose(3, 2, 0, 1), (1, 1), "VALID")
    )
    assert flops(convolve, image, kernel) == 2 * (2 * 4 * 4 * 8) * (3 * 3 * 3)
    scanned = jax.checkpoint(lambda a, b: jax.lax.scan(lambda c, b: (c, a[0] @ b), 0.0, b))
    assert flops(scanned, a, b) == 7 * 2 * 3 * 4 * 5
    assert (
        flops(lambda a: jax.lax.cond(True, lambda a: a @ a.T, lambda a: a, a), jnp.ones((4, 4)))
        == 2 * 4**3
    )


def test_a_loop_of_unknown_length_is_refused():
    a = jnp.ones((3, 3))
    with pytest.raises(ValueError, match="while loop"):
        flops(lambda a: jax.lax.while_loop(lambda a: a.sum() < 0, lambda a: a @ a, a), a)


def test_a_masked_autoencoder_costs_its_matrices():
    model = zoo.MADE((4, 4), hidden=(20, 30))
    x, _ = zoo.example(model, 5)
    variables = zoo.init(model, jax.random.key(0), x)
    matrices = 16 * 20 + 20 * 30 + 30 * 16 + (16 * 16 if model.direct else 0)
    assert flops(lambda x: zoo.log_prob(model, variables, x), x) == 2 * 5 * matrices
