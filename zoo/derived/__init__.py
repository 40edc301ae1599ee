"""Derived samplers: the incremental step of a model, from its `__call__` alone.

A model's author writes all conditionals at once. `derive` reads the operations of that network (its
jaxpr), finds out from which rank on every entry of every array is known, plans what is computed
once, once a row and once a site, and what must be remembered, and returns the decoder that every
sampler runs. Before it is used it is compared to the network itself.

    network/      the network as a graph, windows of its arrays, from which rank on each entry is known
    rules         what an operation needs for a window of its output; also in loops, links,
                  selections, convolution
    plan          what is computed when; schedule: when it is wanted, and when it may be
    work/         the plan at work: what is remembered and how, steps, prompts
    derivation    all of it for a model; comparison: the check against the network

docs/derived_samplers.md tells it with an example.
"""

import functools
import os
import sys
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from zoo.core.arrays import check_variables
from zoo.core.checks import check_context
from zoo.core.decoders import WITHOUT_STEP, Decoder, encode, recompute
from zoo.core.model import Autoregressive, Variables
from zoo.derived.comparison import examined_for, reads_prompts_for, refusal
from zoo.derived.derivation import canvas_of, decoder_of
from zoo.derived.explanation import explain
from zoo.derived.network.windows import Refused
from zoo.foundation.arguments import checked
from zoo.foundation.precision import narrowed, without_x64

__all__ = ["derive", "explain"]


@checked(batch=1, copies=1)
@without_x64
def derive(
    model: Autoregressive,
    variables: Variables,
    batch: int,
    context: PyTree = None,
    copies: int = 1,
    *,
    strict: bool = False,
) -> Decoder:
    """The model as a sampler sees it, from `__call__` alone: `zoo.decoder` without a `step`.

    The plan depends on the model and the shapes of its variables and context only. It is made and
    checked once, in seconds: on random weights, derived steps that see junk in place of the future
      must give what `__call__` gives.

    Args:
      model: the model; its own `step`, if it has one, is not used.
      variables: its variables.
      batch: the number of examples.
      context: what the model conditions on.
      copies: each row of the context serves so many consecutive rows of the batch.
      strict: whether to raise where no step can be derived. Otherwise one warning says why, and the
        decoder recomputes the whole network at every rank.

    Raises:
      ValueError: with `strict`, if no step can be derived.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.FVSBN((2, 3))
      >>> x = np.zeros((4, 2, 3), np.int32)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> decoder = zoo.derive(model, variables, batch=4)
      >>> params, cache = decoder.step(decoder.init(), x, 0)
      >>> params.shape
      (4, 1)
    """
    check_context(model, context)
    check_variables(model, variables, context)
    context = narrowed(context)
    found = examined_for(model, variables, context)
    if not isinstance(found, Refused):
        memory = encode(model, variables, context, copies)
        try:
            decoder = decoder_of(found, model, variables, memory, batch)
            return _with_checked_prompts(decoder, model, variables, context)
        except Exception as error:
            found = refusal(error)
    message = (
        f"{type(model).__name__}: {found}; sampling recomputes the network at every rank. "
        f"{found.advice}"
    )
    if strict:
        raise ValueError(message)
    _warn(message)
    return recompute(model, variables, batch, context, copies)


def has_derived_prefill(
    model: Autoregressive, variables: Variables, context: PyTree = None
) -> bool:
    """Whether the decoder of `derive` reads a prompt in one pass; checked once, in seconds.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.WaveNet((9,), 3, 3, (1, 2), 1, head=zoo.Categorical(4))
      >>> variables = zoo.init(model, jax.random.key(0), np.zeros((1, 9), np.int32))
      >>> has_derived_prefill(model, variables)
      True
    """
    context = narrowed(context)
    return reads_prompts_for(model, variables, context)


def derived_block(model: Autoregressive, variables: Variables, context: PyTree = None) -> int:
    """How many ranks share one `enter` of the decoder of `derive`: those of a row, if it goes by
    rows, otherwise all.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.PixelCNN((4, 3), features=2, blocks=1, out_features=2)
      >>> variables = zoo.init(model, jax.random.key(0), np.zeros((1, 4, 3), np.int32))
      >>> derived_block(model, variables)
      3
    """
    found = examined_for(model, variables, narrowed(context))
    if isinstance(found, Refused) or not found.program.by_rows:
        return model.num_sites
    return found.program.plan.clock.block


def has_derived_step(model: Autoregressive, variables: Variables, context: PyTree = None) -> bool:
    """Whether `derive` gives a derived step, and does not recompute the network at every rank.

    Example:
      >>> import jax, numpy as np, zoo
      >>> model = zoo.FVSBN((2, 3))
      >>> variables = zoo.init(model, jax.random.key(0), np.zeros((1, 2, 3), np.int32))
      >>> has_derived_step(model, variables)
      True
    """
    return not isinstance(examined_for(model, variables, narrowed(context)), Refused)


def _with_checked_prompts(decoder, model, variables, context):
    """The decoder; where the check finds a fault in its prompts, they are read step by step."""
    if decoder.prefill is None:
        return decoder

    def prefill(cache, x):
        if reads_prompts_for(model, variables, context):
            return decoder.prefill(cache, x)
        canvas = canvas_of(model, x)

        def step(cache, t):
            begins = t % decoder.block == 0
            cache = jax.lax.cond(begins, lambda c: decoder.enter(c, canvas, t), lambda c: c, cache)
            return decoder.step(cache, canvas, t)[::-1]

        cache, params = jax.lax.scan(step, cache, jnp.arange(x.shape[1]))
        return params.swapaxes(0, 1), cache

    return decoder._replace(prefill=prefill)


WITHOUT_STEP[:] = [derive]

_HERE = Path(__file__).resolve().parents[2]
_LIBRARIES = (Path(jax.__file__).parents[1], Path(os.__file__).parent)
_WITHIN = tuple(
    f"{folder}{os.sep}"
    for folder in (_HERE / "zoo", _HERE / "sample", _HERE / "train", *_LIBRARIES)
)
"""The folders whose lines no warning names: the project's packages and what they call."""


@functools.cache
def _warn(message: str) -> None:
    """Warns at the line that called the project."""
    frame, level = sys._getframe(), 1
    while frame.f_back and frame.f_code.co_filename.startswith(_WITHIN):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
