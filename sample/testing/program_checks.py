"""Checks of what is compiled and saved: devices, precision, 64-bit mode, compilations, files."""

import contextlib
import functools
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import zoo
from sample.engines.ancestral_loop import ancestral
from sample.engines.sampler import draw
from sample.testing.network_checks import gradient_of
from sample.testing.subject import BATCH, example_of, figure_of, num_draws, variables_for
from zoo.foundation.precision import enable_x64

DOTS = ("dot_general", "conv_general_dilated", "ragged_dot", "ragged_dot_general")


def check_parallel(entry: zoo.Entry) -> None:
    """pmap gives the mean of the gradients that jit gives on each part."""
    model, (x, context), variables = entry.tiny, example_of(entry, 4), variables_for(entry)
    num = min(2, jax.local_device_count())
    split = jax.tree.map(
        lambda leaf: np.asarray(leaf).reshape(num, -1, *leaf.shape[1:]), (x, context)
    )
    single = jax.jit(gradient_of(model))
    each = [single(variables, *jax.tree.map(lambda leaf, i=i: leaf[i], split)) for i in range(num)]
    gradient = jax.tree.map(lambda *leaves: np.mean(leaves, axis=0), *each)
    copies = jax.tree.map(lambda leaf: np.stack([leaf] * num), variables)

    def mean(variables, x, context):
        return jax.lax.pmean(gradient_of(model)(variables, x, context), "data")

    parallel = jax.pmap(mean, "data", devices=jax.local_devices()[:num])(copies, *split)
    parallel = jax.tree.map(lambda leaf: np.asarray(leaf)[0], jax.block_until_ready(parallel))
    close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4)
    jax.tree.map(close, parallel, gradient)


def check_compiles_once(entry: zoo.Entry) -> None:
    """Calls of the same shapes, and of an equal model, share one compiled function."""
    model, (x, context), variables = entry.tiny, example_of(entry, BATCH), variables_for(entry)
    num = num_draws(entry)

    def use(model, seed):
        draw(model, variables, jax.random.key(seed), num, context=entry.example(model, num)[1])
        figure_of(model, variables, x, context)

    use(model, 0)
    with jax.log_compiles(), compilations() as seen:
        use(model.clone(), 1)
    assert not seen, f"compiled again: {seen}"


class _Names(logging.Handler):
    """Keeps the name of each function that jax says it compiles."""

    def __init__(self):
        super().__init__()
        self.seen: list[str] = []

    def emit(self, record):
        self.seen.append(record.getMessage().split(" with ")[0])


@contextlib.contextmanager
def compilations() -> Iterator[list[str]]:
    """Collects the names of the functions that jax compiles in its block."""
    handler, logger = _Names(), logging.getLogger("jax._src.interpreters.pxla")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield handler.seen
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def check_checkpoint(entry: zoo.Entry, folder: Path | None = None) -> None:
    """load(save(m)) == m: the model, its hash, its arrays and so its likelihoods."""
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            return check_checkpoint(entry, Path(temporary))
    model, (x, context), variables = entry.tiny, example_of(entry, BATCH), variables_for(entry)
    zoo.save(folder / "model.safetensors", model, variables)
    loaded, arrays = zoo.load(folder)
    assert loaded == model and hash(loaded) == hash(model), f"{model} is loaded as {loaded}"
    jax.tree.map(np.testing.assert_array_equal, arrays, variables)
    again, first = figure_of(loaded, arrays, x, context), figure_of(model, variables, x, context)
    assert np.array_equal(again, first), "a loaded model scores otherwise"
    return None


def check_precision(entry: zoo.Entry) -> None:
    """Each matmul and convolution of a likelihood and of a draw asks for full float32."""
    model, (x, context), variables = entry.tiny, example_of(entry, 2), variables_for(entry)
    u = jnp.full((model.num_sites, 2, model.head.uniforms), 0.3)

    def score(variables):
        return zoo.log_prob(model, variables, x, context)

    def draw_with(make, variables):
        return ancestral(model, make(model, variables, 2, context), u)

    decoder: Any = zoo.decoder(model, variables, 2, context)

    def prefill(variables):
        decoder: Any = zoo.decoder(model, variables, 2, context)
        ranks = x.reshape(2, model.num_sites, *model.head.event_shape)[:, model.sites]
        return decoder.prefill(decoder.init(), ranks[:, :1])

    programs: list[Any] = [score, *(functools.partial(draw_with, make) for make in DECODERS)]
    for program in [*programs, prefill] if decoder.prefill is not None else programs:
        with jax.default_matmul_precision("bfloat16"):
            traced = jax.make_jaxpr(program)(variables)
        asked = [
            is_highest(each.params["precision"])
            for each in _equations(traced.jaxpr)
            if each.primitive.name in DOTS
        ]
        assert all(asked), (
            f"{program}: {asked.count(False)} of {len(asked)} matmuls and convolutions may be "
            "rounded"
        )


DECODERS = (zoo.decoder, zoo.recompute)


def is_highest(precision: Any) -> bool:
    """Whether the precision of a matmul, one for both operands or one each, is the highest."""
    each = precision if isinstance(precision, tuple) else (precision,)
    return all(one == jax.lax.Precision.HIGHEST for one in each)


def _equations(jaxpr):
    """The equations of a program and of all programs inside it."""
    for equation in jaxpr.eqns:
        yield equation
        values = list(equation.params.values())
        for value in jax.tree.leaves(values, is_leaf=lambda leaf: hasattr(leaf, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from _equations(inner)


def check_wide(entry: zoo.Entry) -> None:
    """`jax_enable_x64` changes no initial value, likelihood or draw by a bit, and no gradient."""
    model, (x, context), key = entry.tiny, entry.example(entry.tiny, 4), jax.random.key(2)
    variables, num = variables_for(entry), num_draws(entry)

    def loss(variables, x, context):
        return zoo.training_loss(model, variables, x, context, key=key).mean()

    def results(x, context):
        rows = np.arange(num) % 4
        contexts = jax.tree.map(lambda leaf: leaf[rows], context)
        yield zoo.init(model, key, x, context)
        yield figure_of(model, variables, x, context)
        yield draw(model, variables, key, num, context=contexts)
        yield jax.jit(jax.value_and_grad(loss))(variables, x, context)

    usual = list(results(x, context))
    with enable_x64(True):
        wide = list(results(*jax.tree.map(_as_wide, (x, context))))
    jax.tree.map(np.testing.assert_array_equal, wide[:-1], usual[:-1])
    # In the caller's own jit, gradients may be rounded in another way.
    close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5)
    jax.tree.map(close, wide[-1], usual[-1])
    dtypes = [jax.tree.map(lambda leaf: leaf.dtype, each) for each in (wide, usual)]
    assert dtypes[0] == dtypes[1], "a dtype depends on the mode"


def _as_wide(leaf):
    """An array of 64 bits, where whole numbers make one."""
    leaf = np.asarray(leaf)
    return jnp.asarray(leaf.astype(np.int64) if np.issubdtype(leaf.dtype, np.integer) else leaf)
