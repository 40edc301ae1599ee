"""The network as a graph: its jaxpr for one example, with calls inlined and loops laid out flat.

A `scan` of L iterations becomes the operations of its body on arrays with one more leading axis, of
length L. What an iteration passes to the next is a `delay` along that axis:

    carry[k] = carry_after[k - 1],   carry[0] = init

So a recurrence over tokens, one over the rows of an image and a plain chain of layers are one kind
of thing: operations on arrays, of which each entry is computed when its inputs are known. What a
body computes from constants alone is taken out.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from zoo.derived.network.values import evaluate
from zoo.derived.network.windows import Refused

CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # the parameter in which a call keeps what it calls
# Primitives of newer releases, in older ones.
SPELLED: dict[str, Callable[..., Any]] = {
    "stack": lambda p, *each: jax.lax.concatenate(
        [jax.lax.expand_dims(a, [p["axis"]]) for a in each], p["axis"]
    ),
    "unstack": lambda p, a: [
        jax.lax.squeeze(jax.lax.slice_in_dim(a, i, i + 1, axis=p["axis"]), [p["axis"]])
        for i in range(a.shape[p["axis"]])
    ],
    "tile": lambda p, a: jax.lax.reshape(
        jax.lax.broadcast_in_dim(
            a,
            [n for pair in zip(p["reps"], a.shape, strict=True) for n in pair],
            range(1, 2 * a.ndim, 2),
        ),
        [r * n for r, n in zip(p["reps"], a.shape, strict=True)],
    ),
}
UNCHANGED = {"optimization_barrier", "sharding_constraint", "device_put", "pvary", "stop_gradient"}
OF_THE_ZOO = ("/zoo/derived/", "/zoo/core/", "/zoo/foundation/")
NOT_OF_THE_MODEL = (*OF_THE_ZOO, "/site-packages/", "/jax/_src/")
CLOSED = {"pallas_call", "run_state", "shard_map"}  # no plain calls


@dataclasses.dataclass(eq=False, repr=False)
class Loop:
    """A scan of `length` iterations, which run backwards if `reverse`."""

    length: int
    reverse: bool


@dataclasses.dataclass(eq=False, repr=False)
class Array:
    """What an operation computes, for one example.

    Attributes:
      shape: its shape in one iteration of its loops.
      dtype: its dtype.
      op: the operation; None for an input.
      loops: the loops whose iterations it differs in, the outermost first.
      value: its value, if that is known beforehand (a mask, positions), with the loops' axes in
        front.
      code: see `zoo.derived.network.finality`, with the loops' axes in front.
      live: whether it depends on the canvas.
      batched: whether it differs from example to example.
      origin: of a copy of a loop's body, the array of the loop, the loop and the iteration that it
        is; no loop if the array is the same in all.
    """

    shape: tuple[int, ...]
    dtype: Any
    op: Op | None = None
    loops: tuple[Loop, ...] = ()
    value: np.ndarray | None = None
    code: Any = None
    live: bool = False
    batched: bool = False
    origin: tuple[Array, Loop | None, int] | None = None

    @property
    def lead(self) -> tuple[int, ...]:
        """The lengths of its loops."""
        return tuple(loop.length for loop in self.loops)

    @property
    def all_shape(self) -> tuple[int, ...]:
        """The shape for all iterations."""
        return (*self.lead, *self.shape)


@dataclasses.dataclass(eq=False, repr=False)
class Op:
    """One operation.

    Attributes:
      name: of the primitive.
      fn: computes its outputs, as a list, in one iteration of its loops.
      ins: the arrays that it reads.
      params: of the primitive.
      line: the line of the model that asks for it.
      loops: the loops in whose bodies it lies.
      outs: the arrays that it computes.
      body: of a scan, the operations of one iteration; None once it is laid out.
      known: whether it reads nothing but values that are known.
    """

    name: str
    fn: Callable[..., list]
    ins: list[Array]
    params: dict[str, Any]
    line: str = ""
    loops: tuple[Loop, ...] = ()
    outs: list[Array] = dataclasses.field(default_factory=list)
    body: Body | None = None
    known: bool = False


@dataclasses.dataclass(eq=False, repr=False)
class Body:
    """One iteration: from carries and slices to new carries and outputs."""

    loop: Loop
    carries: list[Array]
    slices: list[Array]
    ops: list[Op]
    after: list[Array]
    outputs: list[Array]


def trace(function: Callable[..., Any], *args: Any) -> tuple[list[Op], list[Array], Array]:
    """The graph of a function of arrays with one output: its operations, its inputs and its
    output."""
    return graph_of(jax.make_jaxpr(function)(*args))


def graph_of(
    closed: ClosedJaxpr, inputs: list[Array] | None = None
) -> tuple[list[Op], list[Array], Array]:
    """The graph of a jaxpr with one output, of new inputs or of these."""
    variables: list[Any] = list(closed.jaxpr.invars)
    inputs = inputs or [Array(v.aval.shape, v.aval.dtype) for v in variables]
    ops: list[Op] = []
    (output,) = _flatten(closed.jaxpr, closed.consts, inputs, ops, (), "")
    return ops, inputs, output


def constant(value: Any, dtype: Any = None) -> Array:
    """A constant of the program."""
    if not isinstance(value, np.ndarray) and jax.dtypes.issubdtype(
        getattr(value, "dtype", None), jax.dtypes.extended
    ):
        raise Refused("a random key is a constant of the network")
    value = np.asarray(value) if dtype is None else np.asarray(value, dtype)
    return Array(value.shape, value.dtype, value=value)


def _flatten(
    jaxpr: Any, consts: Any, args: Any, ops: list[Op], loops: Any, line: str
) -> list[Array]:
    """Adds the operations of a jaxpr to `ops`; returns its outputs."""
    env: dict[Any, Array] = dict(zip(jaxpr.invars, args, strict=True))
    env |= {v: constant(c) for v, c in zip(jaxpr.constvars, consts, strict=True)}

    def read(atom: Any) -> Array:
        if not isinstance(atom, Literal):
            return env[atom]
        aval: Any = atom.aval
        return constant(atom.val, aval.dtype)

    for eqn in jaxpr.eqns:
        ins = [read(atom) for atom in eqn.invars]
        at = _line(eqn) or line
        inner = called(eqn)
        if eqn.primitive.name in UNCHANGED and len(ins) == len(eqn.outvars):
            outs = ins
        elif eqn.primitive.name == "cond" and ins[0].value is not None:
            branches = eqn.params["branches"]
            branch = branches[int(np.clip(ins[0].value, 0, len(branches) - 1))]
            outs = _flatten(branch.jaxpr, branch.consts, ins[1:], ops, loops, at)
        elif eqn.primitive.name == "scan":
            outs = _scan(eqn, ins, ops, loops, at)
        elif inner is not None:
            outs = _flatten(inner.jaxpr, inner.consts, ins, ops, loops, at)
        else:
            outs = _operation(eqn, ins, ops, loops, at)
        env.update(zip(eqn.outvars, outs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def called(eqn: Any) -> Any:
    """What a call calls; None if it is no call, as a reduction by a given function is none."""
    for name in CALLS:
        inner = eqn.params.get(name)
        if inner is None or eqn.primitive.name in CLOSED:
            continue
        inner = inner if hasattr(inner, "consts") else ClosedJaxpr(inner, ())
        given, taken = (
            [v.aval.shape for v in (*each.invars, *each.outvars)] for each in (eqn, inner.jaxpr)
        )
        if given == taken:
            return inner
    return None


def _operation(eqn, ins, ops, loops, line):
    if eqn.primitive.name in SPELLED:
        shapes = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in ins]
        plain = jax.make_jaxpr(functools.partial(SPELLED[eqn.primitive.name], eqn.params))(*shapes)
        return _flatten(plain.jaxpr, plain.consts, ins, ops, loops, line)
    if ins and all(each.value is not None and each.value.ndim == 0 for each in ins):
        known = evaluate(
            eqn.primitive.name,
            eqn.params,
            functools.partial(bind, eqn.primitive, eqn.params),
            [a.value for a in ins],
        )
        if known[0] is not None:
            return [constant(value) for value in known]
    if not any(np.prod(v.aval.shape, dtype=int) for v in eqn.outvars):  # no entries: known
        return [constant(np.zeros(v.aval.shape, v.aval.dtype)) for v in eqn.outvars]
    varies = tuple(loop for loop in loops if any(loop in each.loops for each in ins))
    op = Op(
        eqn.primitive.name,
        functools.partial(bind, eqn.primitive, eqn.params),
        ins,
        eqn.params,
        line,
        varies,
    )
    op.outs = [Array(v.aval.shape, v.aval.dtype, op, varies) for v in eqn.outvars]
    ops.append(op)
    return op.outs


def bind(primitive: Any, params: dict, *values: Any) -> list:
    """The outputs of a primitive, as a list."""
    outs = primitive.bind(*values, **params)
    return list(outs) if primitive.multiple_results else [outs]


def _scan(eqn, ins, ops, loops, line):
    """A scan, as one operation that holds its body; what its iterations have in common goes before
    it."""
    p = eqn.params
    num_consts, num_carry = _counts(p)
    loop = Loop(p["length"], p["reverse"])
    consts, rest = ins[:num_consts], ins[num_consts:]
    stacked = rest[num_carry:]
    within = (*loops, loop)
    given = p["jaxpr"].jaxpr.invars[num_consts:]
    inside = [Array(v.aval.shape, v.aval.dtype, loops=within) for v in given]
    for inner, outer in zip(inside[num_carry:], stacked, strict=True):
        inner.loops = (*outer.loops, loop)
    body_ops: list[Op] = []
    results = _flatten(
        p["jaxpr"].jaxpr, p["jaxpr"].consts, [*consts, *inside], body_ops, within, line
    )
    ops += [op for op in body_ops if loop not in op.loops]
    own = [op for op in body_ops if loop in op.loops]
    body = Body(
        loop, inside[:num_carry], inside[num_carry:], own, results[:num_carry], results[num_carry:]
    )
    function = functools.partial(bind, eqn.primitive, p)
    op = Op("scan", function, rest, {"num_carry": num_carry, "all": ins}, line, loops, body=body)
    op.outs = [Array(v.aval.shape, v.aval.dtype, op, loops) for v in eqn.outvars]
    ops.append(op)
    return op.outs


def _counts(params: dict[str, Any]) -> tuple[int, int]:
    """How many of a scan's inputs are constants, and how many are carried."""
    if "ft_in" in params:  # from jax 0.12 on
        consts, carry, _ = params["ft_in"].unpack()
        return len(list(consts)), len(list(carry))
    return params["num_consts"], params["num_carry"]


def _line(eqn: Any) -> str:
    """The innermost line that belongs to no installed package, or to none at all."""
    traceback = eqn.source_info.traceback
    for frame in traceback.frames if traceback else ():
        name = frame.file_name.replace("\\", "/")
        if not (name.startswith("<") or any(part in name for part in NOT_OF_THE_MODEL)):
            return f"{_short(name)}:{frame.line_num}"
    return ""


def _short(path):
    """The path from where the user stands, or its last parts."""
    here = f"{Path.cwd().as_posix()}/"
    return path.removeprefix(here) if path.startswith(here) else "/".join(path.split("/")[-3:])
