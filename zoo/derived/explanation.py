"""What a derived step does, in words."""

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from zoo.core.generative import Generative
from zoo.core.likelihood import init
from zoo.core.model import Autoregressive
from zoo.derived.comparison import examined_for
from zoo.derived.derivation import Shapes, derivation
from zoo.derived.network.windows import NotCausal, Refused, sizes
from zoo.derived.rules import RULES
from zoo.foundation.arguments import checked
from zoo.foundation.precision import narrowed

_WHEN = {
    "enter": "Once a row (enter)",
    "before": "At every site, for the next iteration of a loop",
    "step": "At every site (step)",
}
_ITERATIONS = "Once a row (enter), one iteration after the other"
_HEAVY = {"dot_general", "conv_general_dilated", "gather", "delay"}
_QUIET = {
    "reshape",
    "transpose",
    "broadcast_in_dim",
    "squeeze",
    "slice",
    "convert_element_type",
    "split",
    "enter_loop",
    "leave_loop",
}


@checked()
def explain(model: Autoregressive, context: PyTree = None) -> str:
    """What the derived step of a model computes once, once a row and at every site, what it
    remembers, and what it computes whole; with the lines of the model that ask for it. For a model
    that none can be derived for, why.

    Args:
      model: the model.
      context: an example of what it conditions on, of a batch of 1; None for its own example.

    Example:
      >>> import zoo
      >>> print(zoo.explain(zoo.WaveNet((8,), 4, 4, (1, 2), 1)).splitlines()[0])
      WaveNet: 8 ranks, one by one.
    """
    found = examined_for(model, *_inputs(model, context))
    name = type(model).__name__
    if isinstance(found, Refused):
        return f"{name}: {found}; sampling recomputes the network at every rank. {found.advice}"
    program, plan = found.program, found.program.plan
    by_rows = f"in rows of {plan.clock.block}" if program.by_rows else "one by one"
    lines = [f"{name}: {plan.clock.num_ranks} ranks, {by_rows}."]
    once = sum(not each.live and each.value is None for op in plan.ops for each in op.outs)
    lines.append(f"Once: {once} arrays made of weights and context alone.")
    for frame, said in _WHEN.items():
        lines += _work(program.work[frame], said)
        lines += _work(program.before_row.get(frame, []), _ITERATIONS)
    total = sum(each.bytes for each in program.buffers.values())
    lines.append(f"Remembered: {len(program.buffers)} arrays, {total:,} bytes an example.")
    lines += [_buffer(each) for each in program.buffers.values()]
    for op, note in plan.notes.items():
        lines.append(f"Whole: {note}{_at(op)}")
    return "\n".join(lines)


def why_not_causal(model: Generative) -> str | None:
    """Which params of a model depend on which value at the same or a later rank, as far as their
    operations show; None if none do, or if the operations cannot be followed.

    Example:
      >>> import zoo
      >>> print(why_not_causal(zoo.FVSBN((2, 3))))
      None
    """
    if not isinstance(model, Autoregressive):
        return None
    try:
        derivation(model, *map(Shapes.of, _inputs(model, None)))
    except NotCausal as found:
        return str(found)
    except Exception:  # an analysis that fails says nothing about the model
        return None
    return None


def _inputs(model, context):
    """The shapes of a model's variables, and a context: by default its example's."""
    if context is None:
        context = model.example(1)[1]
    context = narrowed(context)
    x = jnp.zeros((1, *model.site_shape, *model.head.event_shape), model.head.dtype)
    variables = jax.eval_shape(lambda key: init(model, key, x, context), jax.random.key(0))
    return variables, context


def _buffer(buffer):
    array, axis = buffer.array, buffer.ring
    ring = (
        f", a ring of {buffer.slots} of {array.all_shape[axis]} along axis {axis}"
        if axis >= 0
        else ""
    )
    return f"  {array.op.name} {array.all_shape}{ring}: {buffer.bytes:,} bytes{_at(array.op)}"


def _work(work, when):
    items = [item for _, each in work for item in each]
    shown = [(array, window) for array, window, _ in items if array.op.name not in _QUIET]
    if not items:
        return []
    lines = [f"{when}: {len(items)} arrays."]
    return lines + [
        f"  {a.op.name} {sizes(w)} of {a.all_shape}{_whole(a.op)}{_at(a.op)}"
        for a, w in shown
        if a.op.name in _HEAVY or _whole(a.op)
    ]


def _whole(op):
    return "" if op.name in RULES else ", whole, for no rule follows it"


def _at(op):
    return f"  ({op.line})" if op.line else ""
