"""Gradients in less memory: a loss cut into pieces, of which the backward pass keeps only the inputs.

A loss is a list of operations, one after the other. A gradient keeps what each of them computed; cut
into pieces, it keeps what passes from piece to piece, and computes the inside of one piece at a time
again. The cuts lie where the least passes: in a deep network between its blocks. In a loop each
iteration is a piece. So models need no word about it.
"""

import functools
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

from train.update.cuts import CALLS, cuts


def recomputing(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose gradient by its first argument keeps little and computes the rest again; its
    values and gradients are the same up to rounding.

    Example:
      >>> import jax.numpy as jnp
      >>> def deep(x):
      ...     for _ in range(9):
      ...         x = jnp.sin(x)
      ...     return x.sum()
      >>> x = jnp.arange(3.0)
      >>> bool(jnp.allclose(jax.grad(recomputing(deep))(x), jax.grad(deep)(x)))
      True
    """

    @functools.wraps(function)
    def in_pieces(*args, **named):
        flat, structure = jax.tree.flatten((args, named))

        def plain(*flat):
            args, named = jax.tree.unflatten(structure, flat)
            return function(*args, **named)

        traced, shapes = jax.make_jaxpr(plain, return_shape=True)(*flat)
        inlined = jax.make_jaxpr(functools.partial(_inlined, traced))(*flat)
        outs = _in_pieces(inlined, flat, len(jax.tree.leaves(args[0])))
        return jax.tree.unflatten(jax.tree.structure(shapes), outs)

    return in_pieces


def _inlined(closed, *args):
    """What the jaxpr computes, with calls opened and each iteration of a loop made a piece."""
    values = dict(zip(closed.jaxpr.invars, args, strict=True))
    values |= zip(closed.jaxpr.constvars, closed.consts, strict=True)

    def read(atom):
        return atom.val if isinstance(atom, Literal) else values[atom]

    for eqn in closed.jaxpr.eqns:
        if eqn.primitive.name in CALLS:
            called = eqn.params["call_jaxpr" if "call_jaxpr" in eqn.params else "jaxpr"]
            called = called if hasattr(called, "consts") else ClosedJaxpr(called, ())
            outs = _inlined(called, *map(read, eqn.invars))
        elif eqn.primitive.name == "scan":
            outs = _scan(eqn.params, *map(read, eqn.invars))
        else:
            ins, function = _function(closed.jaxpr, [eqn], eqn.outvars)
            outs = function(*(values[each] for each in ins))
        values |= zip(eqn.outvars, outs, strict=True)
    return [read(atom) for atom in closed.jaxpr.outvars]


def _scan(params, *args):
    """The loop, whose gradient keeps the state before each iteration alone."""
    first, second = params["num_consts"], params["num_consts"] + params["num_carry"]
    consts, carry, rows = args[:first], args[first:second], args[second:]

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def iteration(carry, rows):
        outs = _inlined(params["jaxpr"], *consts, *carry, *rows)
        return tuple(outs[: len(carry)]), outs[len(carry) :]

    options = {name: params[name] for name in ("length", "reverse", "unroll")}
    carry, outs = jax.lax.scan(iteration, tuple(carry), tuple(rows), **options)
    return [*carry, *outs]


def _in_pieces(closed, args, count):
    """What the jaxpr computes, piece by piece; it may be differentiated by its first `count`
    inputs.
    """
    jaxpr = closed.jaxpr
    values = dict(zip(jaxpr.invars, args, strict=True))
    values |= zip(jaxpr.constvars, closed.consts, strict=True)
    last_use, varying = _last_uses(jaxpr), _varying(jaxpr, count)
    ends = [*cuts(jaxpr), len(jaxpr.eqns)]
    for start, end in pairwise([0, *ends]):
        eqns = jaxpr.eqns[start:end]
        outs = [each for eqn in eqns for each in eqn.outvars if last_use.get(each, 0) >= end]
        ins, function = _function(jaxpr, eqns, outs)
        # The backward pass starts with the last piece, whose inside it would compute again at once.
        if end < len(jaxpr.eqns):
            function = _again(function, [each in varying for each in ins])
        values |= zip(outs, function(*(values[each] for each in ins)), strict=True)
    return [atom.val if isinstance(atom, Literal) else values[atom] for atom in jaxpr.outvars]


def _again(function, varying):
    """The function of some arrays; its gradient by those that are `varying` keeps the arrays alone,
    and computes all else again when the gradient of the outputs is there.

    `jax.checkpoint` would do, but XLA for CPUs, before jax 0.12, finds that both computations are
    the same and keeps the first. Here the second one's inputs depend on the outputs' gradient.
    """

    def joined(real, rest):
        real, rest = iter(real), iter(rest)
        return function(*(next(real if each else rest) for each in varying))

    piece = jax.custom_vjp(joined)

    def forward(real, rest):
        return joined(real, rest), (real, rest)

    def backward(ins, gradients):
        firsts = [
            each.ravel()[0].astype(
                np.float32
            )  # of all, as some may be there long before the others
            for each in gradients
            if each.dtype != jax.dtypes.float0 and each.size
        ]
        if firsts:
            total = sum(firsts)
            ins = jax.tree.map(functools.partial(_if, total == total), ins)  # unless it is NaN
        real, rest = ins
        return *jax.vjp(lambda real: joined(real, rest), real)[1](gradients), None

    piece.defvjp(forward, backward)

    def called(*ins):
        groups = [
            [value for value, each in zip(ins, varying, strict=True) if each == kind]
            for kind in (True, False)
        ]
        return piece(*groups)

    return called


def _if(condition, leaf):
    """The array; where the condition is false, 0, or NaN of a real array."""
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        bits = _if(condition, jax.random.key_data(leaf))
        return jax.random.wrap_key_data(bits, impl=jax.random.key_impl(leaf))
    real = jax.dtypes.issubdtype(leaf.dtype, np.inexact)
    other = jax.lax.full_like(leaf, np.nan if real else 0)
    return jax.lax.select(jax.lax.full_like(leaf, condition, bool), leaf, other)


def _function(jaxpr, eqns, outs):
    """The inputs of some operations of a jaxpr, and the function from these to `outs`."""
    made = {each for eqn in eqns for each in eqn.outvars}
    read = [each for eqn in eqns for each in eqn.invars if not isinstance(each, Literal)]
    ins = list(dict.fromkeys(each for each in read if each not in made))
    piece = jaxpr.replace(constvars=[], invars=ins, outvars=list(outs), eqns=list(eqns))
    return ins, jaxpr_as_fun(ClosedJaxpr(piece, ()))


def _last_uses(jaxpr):
    """The last operation that reads each array; for a result, the number of operations."""
    last_use: dict[Any, int] = {}
    for i, eqn in enumerate(jaxpr.eqns):
        last_use |= {each: i for each in eqn.invars if not isinstance(each, Literal)}
    return last_use | {
        each: len(jaxpr.eqns) for each in jaxpr.outvars if not isinstance(each, Literal)
    }


def _varying(jaxpr, count):
    """The real arrays that depend on the first `count` inputs."""
    found = set(jaxpr.invars[:count])
    for eqn in jaxpr.eqns:
        if any(not isinstance(each, Literal) and each in found for each in eqn.invars):
            found |= {
                each for each in eqn.outvars if jax.dtypes.issubdtype(each.aval.dtype, np.inexact)
            }
    return found
