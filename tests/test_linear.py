"""The linear layer whose kernel's gradient is one matmul of two matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.layers.linear import matmul


def test_the_gradient_multiplies_matrices():
    x, kernel = jnp.ones((2, 3, 4)), jnp.ones((4, 5))
    gradient = jax.jit(jax.grad(lambda kernel: jnp.sin(matmul(x, kernel)).sum()))
    assert "tensor<6x5xf32>, tensor<6x4xf32>" in gradient.lower(kernel).as_text()


@pytest.mark.slow
def test_values_and_gradients_are_those_of_a_product():
    """In either direction of differentiation, of both arguments and of each alone."""
    keys = jax.random.split(jax.random.key(0), 4)
    shapes = (2, 3, 4), (4, 5), (2, 3, 4), (4, 5)
    x, kernel, dx, dkernel = (
        jax.random.normal(key, shape) for key, shape in zip(keys, shapes, strict=True)
    )

    @jax.jit
    def results(x, kernel):
        found = []
        for product in (matmul, jnp.matmul):

            def loss(x, kernel, product=product):
                return jnp.sin(product(x, kernel)).sum()

            def inner(x, kernel, loss=loss):
                return jnp.vdot(jax.grad(loss)(x, kernel), dx)

            found.append(
                [
                    product(x, kernel),
                    jax.jvp(product, (x, kernel), (dx, dkernel)),
                    jax.grad(loss, (0, 1))(x, kernel),
                    jax.grad(loss, 1)(x, kernel),
                    jax.grad(inner, (0, 1))(x, kernel),  # twice
                ]
            )
        return found

    one, other = results(x, kernel)
    for ours, plain in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-5)
