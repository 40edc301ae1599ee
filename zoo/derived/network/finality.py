"""Finality: from which rank on each entry of each array is known, found exactly and without
numbers.

An entry is final at rank f if it depends on values at ranks < f only. With x_r the value at rank r,

    f(x_r) = r + 1,   f(weights, masks, context) = 0,   f(output) = the greatest f of what it is
    computed from.

What a mask takes away is no dependence, whatever the weights are. So every entry has a code:

    f >= 0   an ordinary number, final at rank f
    ZERO     exactly 0: a product with it is 0, a sum with it nothing new
    LOW      -inf, or a masked score (below -1e8): its exponential is 0
    TRUE     a bool that is true; ZERO is one that is false

Only constants of the program count as zeros (a mask, or weights that a mask multiplies), never
trained values, so the codes hold for all weights. The assumption: activations are finite and
well above -1e8.

A code has the axes of its array; where all places along an axis have the same code, the axis has
length 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo.derived.network import codes, logic_codes, product_codes
from zoo.derived.network.bodies import inside, read_in
from zoo.derived.network.graph import Array, Op
from zoo.derived.network.values import evaluate

ZERO, LOW = codes.ZERO, codes.LOW
assert product_codes and logic_codes  # which register rules


class State(NamedTuple):
    """The code of an array and, if it is known, its value."""

    code: np.ndarray
    value: np.ndarray | None


def propagate(ops: Sequence[Op], canvas: Array, inputs: Sequence[Array], code: np.ndarray) -> None:
    """Writes code, value and live into every array of the graph.

    Args:
      ops: its operations, scans not laid out yet.
      canvas: the input that holds x; `code` is its code.
      inputs: all inputs; all but the canvas are weights and context.
      code: r + 1 at the site of rank r.
    """
    states: dict[Array, State] = {
        each: State(np.zeros((1,) * len(each.shape), np.int32), None) for each in inputs
    }
    states[canvas] = State(code, None)
    canvas.live = canvas.batched = True
    _propagate(ops, states)
    # What a loop carries from weights alone is carried along with the rest.
    for op in ops:
        if op.body is not None and any(each.live for each in op.outs):
            for each in op.body.carries:
                each.live = each.live or each.value is None
    _mark(ops)


def propagate_on(ops: Sequence[Op]) -> None:
    """Writes the same into what operations compute that were added later."""
    known = (each for op in ops for each in op.ins if each.code is not None)
    _propagate(ops, {each: State(each.code, each.value) for each in known})


def _propagate(ops: Sequence[Op], states: dict[Array, State]) -> None:
    _mark(ops)
    _run(ops, states)
    for array, state in states.items():
        array.code, array.value = state.code, state.value


def _mark(ops: Sequence[Op]) -> None:
    """Which arrays depend on the canvas, and which differ from example to example."""
    changed = True
    while changed:  # a loop's carry depends on what the body makes of it
        changed = False
        for op in ops:
            changed |= _mark_one(op)


def _mark_one(op: Op) -> bool:
    if op.body is None:
        return _lift(op.ins, op.outs)
    body, num = op.body, op.params["num_carry"]
    changed = False
    for inner, outer in zip([*body.carries, *body.slices], op.ins, strict=True):
        changed |= _lift([outer], [inner])
    for inner, after in zip(body.carries, body.after, strict=True):
        changed |= _lift([after], [inner])
    _mark(body.ops)
    for out, after in zip(op.outs, [*body.after, *body.outputs], strict=True):
        changed |= _lift([after], [out])
    for out, first in zip(op.outs[:num], op.ins[:num], strict=True):
        changed |= _lift([first], [out])
    return changed


def _lift(sources: Sequence[Array], targets: Sequence[Array]) -> bool:
    live, batched = any(a.live for a in sources), any(a.batched for a in sources)
    changed = False
    for array in targets:
        changed |= (live and not array.live) or (batched and not array.batched)
        array.live, array.batched = array.live or live, array.batched or batched
    return changed


def _state(states: dict[Array, State], array: Array) -> State:
    if array not in states:  # a constant of the program
        assert array.value is not None
        states[array] = State(codes.of_value(array.value), array.value)
    return states[array]


def _run(ops: Sequence[Op], states: dict[Array, State]) -> None:
    for op in ops:
        if op.body is not None:
            _run_loop(op, states)
            continue
        ins = [_state(states, each) for each in op.ins]
        outs: list[Any] = [None] * len(op.outs)
        op.known = all(each.value is not None for each in ins)
        if op.known:
            outs = evaluate(op.name, op.params, op.fn, [each.value for each in ins])
        if outs[0] is not None:
            states.update(
                (a, State(codes.of_value(v), v)) for a, v in zip(op.outs, outs, strict=True)
            )
            continue
        found = codes.of(
            op.name,
            op.params,
            [_view(s, a) for s, a in zip(ins, op.ins, strict=True)],
            op.outs,
            op.fn,
        )
        states.update((a, State(c, None)) for a, c in zip(op.outs, found, strict=True))


def _view(state: State, array: Array) -> codes.Coded:
    return codes.Coded(state.code, array.shape, state.value, array.dtype == bool)


def _run_loop(op: Op, states: dict[Array, State]) -> None:
    """One iteration after the other; the codes of all are then put side by side. Once each
    iteration does what the one before did, a number of ranks later, the rest is known."""
    assert op.body is not None
    body, num = op.body, op.params["num_carry"]
    carry = [_state(states, each) for each in op.ins[:num]]
    stacked = [_state(states, each) for each in op.ins[num:]]
    history: dict[Array, list[State]] = {a: [] for a in inside(body) if body.loop in a.loops}
    length = body.loop.length
    order = range(length)[:: -1 if body.loop.reverse else 1]
    growth, later = 0, 0  # ranks from iteration to iteration, and the iterations left out
    for done, k in enumerate(order, 1):
        states.update(zip(body.carries, carry, strict=True))
        states.update((a, _slice(s, k)) for a, s in zip(body.slices, stacked, strict=True))
        _run(body.ops, states)
        before, carry = carry, [_state(states, each) for each in body.after]
        for array, each in history.items():
            each.append(states[array])
        if done & (done - 1) or done > length - 2:  # to look for it often would take time
            continue
        outside = [states[each] for each in read_in(body) if each in states]
        found = _growth([*zip(before, carry, strict=True)], stacked, order[done - 1 :], outside)
        if found is not None:
            growth, later = found, length - done
            break
    carry = [each._replace(code=_grown(each.code, growth * later)) for each in carry]
    for array, each in history.items():
        states[array] = _stack(each, array, growth * np.arange(1, later + 1), body.loop.reverse)
    after = [
        *carry,
        *(
            states[a] if body.loop in a.loops else _repeat(_state(states, a), length)
            for a in body.outputs
        ),
    ]
    states.update(zip(op.outs, after, strict=True))


def _growth(
    carries: Sequence[tuple[State, State]],
    stacked: Sequence[State],
    order: Sequence[int],
    outside: Sequence[State],
) -> int | None:
    """By how many ranks all that the iterations `order` read grows from each to the next; None if
    it does not, alike for all. Codes of outputs are the greatest of some of inputs, so they grow
    with them."""
    if any((each.code > 0).any() for each in outside):
        return None
    pairs = [(old.code[None], new.code[None]) for old, new in carries]
    for each in stacked:
        if len(each.code) > 1:
            found = each.code[np.array(order)]
            pairs.append((found[:-1], found[1:]))
        else:
            pairs.append((each.code, each.code))
    states = [state for pair in carries for state in pair] + [*stacked]
    if any(each.value is not None for each in states):
        return None
    steps = []
    for old, new in pairs:
        if old.shape != new.shape or ((old > 0) != (new > 0)).any():
            return None
        steps.append(np.unique((new - old)[old > 0]))
        if (new != old)[old <= 0].any():
            return None
    step = np.unique(np.concatenate(steps))
    return int(step.sum()) if len(step) < 2 else None


def _grown(code: np.ndarray, by: Any) -> np.ndarray:
    return np.where(code > 0, code + by, code)


def _slice(state: State, k: int) -> State:
    code = state.code[min(k, state.code.shape[0] - 1)]
    return State(code, None if state.value is None else state.value[k])


def _stack(states: list[State], array: Array, later: np.ndarray, reverse: bool) -> State:
    """All iterations of an array: those gone through, and the rest, so many ranks after the last of
    them."""
    shape = np.broadcast_shapes(*(each.code.shape for each in states))
    code = np.stack([np.broadcast_to(each.code, shape) for each in states])
    rest = _grown(code[-1:], later.reshape(-1, *[1] * len(shape)))
    code = np.concatenate([code, rest])[:: -1 if reverse else 1]
    if any(each.value is None for each in states):
        return State(codes.compressed(code), None)
    states = [*states, *states[-1:] * len(later)][:: -1 if reverse else 1]
    return State(codes.compressed(code), np.stack([np.asarray(each.value) for each in states]))


def _repeat(state: State, length: int) -> State:
    value = (
        None if state.value is None else np.broadcast_to(state.value, (length, *state.value.shape))
    )
    return State(state.code[None], value)
