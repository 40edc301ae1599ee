"""What PixelCNN++ alone has: weights initialised by the first batch, dropout, resolutions that are
skipped while drawing.
"""

import re

import conformance
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sample
import zoo
from zoo.layers.convolutions import Conv

MODEL = zoo.PixelCNNpp((8, 8), features=6, blocks=1, scales=2, head=zoo.Categorical(4))
BATCH = np.random.RandomState(0).randint(0, 4, (32, 8, 8))


def test_first_batch_standardises_every_layer():
    variables = zoo.init(MODEL, jax.random.key(0), BATCH)
    _, state = MODEL.apply(
        variables,
        jnp.asarray(BATCH, jnp.int32),
        MODEL.apply(variables, None, method="encode"),
        capture_intermediates=lambda module, name: isinstance(module, Conv) and name == "__call__",
        mutable=["intermediates"],
    )
    outputs = jax.tree.leaves(state["intermediates"])
    spreads = [round(float(y.std((0, 1, 2)).mean()), 3) for y in outputs]
    assert len(outputs) == 38 and set(spreads) == {1.0, 0.1}
    for y, spread in zip(outputs, spreads, strict=True):
        np.testing.assert_allclose(y.mean((0, 1, 2)), 0, atol=1e-4)
        np.testing.assert_allclose(y.std((0, 1, 2)), spread, rtol=1e-3)


def test_another_batch_gives_other_scales_and_the_same_directions():
    first, second = (
        zoo.init(MODEL, jax.random.key(0), x)["params"]["first_u"] for x in (BATCH, BATCH // 2)
    )
    assert (first["kernel"] == second["kernel"]).all()
    assert (first["scale"] != second["scale"]).all() and (first["bias"] != second["bias"]).all()


def test_a_constant_batch_initialises_finite_weights():
    variables = zoo.init(
        zoo.PixelCNNpp((1, 1), 4, 1, 1), jax.random.key(0), np.zeros((1, 1, 1), int)
    )
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(variables)) < 100


def test_length_of_a_kernel_does_not_matter():
    variables = zoo.init(MODEL, jax.random.key(0), BATCH)
    longer = jax.tree_util.tree_map_with_path(
        lambda path, leaf: 3 * leaf if path[-1].key == "kernel" else leaf, variables
    )
    before, after = (zoo.log_prob(MODEL, each, BATCH) for each in (variables, longer))
    np.testing.assert_allclose(after, before, rtol=1e-5)


def test_dropout_is_on_in_training_only():
    variables = conformance.variables_of(MODEL)
    loss = [
        zoo.training_loss(MODEL, variables, BATCH, key=jax.random.key(seed)) for seed in (0, 0, 1)
    ]
    assert (loss[0] == loss[1]).all() and (loss[0] != loss[2]).all()
    assert (zoo.log_prob(MODEL, variables, BATCH) == zoo.log_prob(MODEL, variables, BATCH)).all()
    without = MODEL.clone(dropout=0.0)
    np.testing.assert_allclose(
        zoo.training_loss(without, variables, BATCH, key=jax.random.key(0)),
        -zoo.log_prob(MODEL, variables, BATCH),
        rtol=1e-5,
    )


@pytest.mark.slow
def test_drawing_copies_no_cache():
    """Neither a step nor a skipped resolution copies the buffers that it writes a pixel to."""
    model, batch = zoo.PixelCNNpp((8, 9), features=6, blocks=1), 5
    variables = conformance.variables_of(model)
    decoder = zoo.decoder(model, variables, batch)

    @jax.jit
    def row(cache, x):
        def visit(t, carry):
            params, cache = decoder.step(carry[0], carry[1], t)
            return cache, carry[1].at[:, 0, 0].set((params[:, 0] > 0).astype(jnp.int32))

        return jax.lax.fori_loop(0, 9, visit, (cache, x))

    x = jnp.zeros((batch, 8, 9), jnp.int32)
    text = row.lower(decoder.enter(decoder.init(), x, 0), x).compile().as_text()
    loops = [part for part in re.split(r"\n\n", text) if not part.lstrip().startswith("ENTRY")]
    # A row of each resolution, with a slot on either side, for both inputs of its resnets.
    for slots, resnets in ((11, 3), (7, 3), (5, 2)):
        shape = f"f32[{slots},2,{resnets},{batch},12]"
        lines = [line for part in loops for line in part.splitlines() if shape in line]
        assert lines and not [line for line in lines if " copy(" in line]


@pytest.mark.slow
@pytest.mark.parametrize("prefix", [0, 3, 5])
def test_completion_continues_at_any_resolution(prefix):
    """A prefix that ends between two coarse rows is scored and continued as by the oracle."""
    model = zoo.PixelCNNpp((6, 6), features=5, blocks=1)
    variables, x = conformance.variables_of(model), BATCH[0, :6, :6] % 2
    draws = [
        sample.draw(
            model,
            variables,
            jax.random.key(3),
            8,
            prefix=x[:prefix] if prefix else None,
            engine=engine,
        )
        for engine in ("cached", "recompute")
    ]
    assert (draws[0].x == draws[1].x).all() and (
        np.asarray(draws[0].x)[:, :prefix] == x[:prefix]
    ).all()
    np.testing.assert_allclose(
        draws[0].log_prob, zoo.log_prob(model, variables, draws[0].x), rtol=1e-4
    )
