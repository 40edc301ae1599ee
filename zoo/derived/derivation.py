"""From a model to its derived decoder: trace, find what is final when, plan, check, run."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr
from jaxtyping import PyTree

from zoo.core import batch_axes
from zoo.core.decoders import Decoder
from zoo.core.model import Autoregressive
from zoo.derived import convolution, links, places, selections
from zoo.derived.clock import clocks_of
from zoo.derived.loops import lay_out
from zoo.derived.network import codes, finality
from zoo.derived.network.graph import Array as Node
from zoo.derived.network.graph import Op, graph_of
from zoo.derived.network.sums import with_sums_in_one
from zoo.derived.network.windows import NotCausal, Refused, Window, moving, volume, whole
from zoo.derived.plan import NoTurn, Plan
from zoo.derived.work.program import Program
from zoo.derived.work.prompt import Prompt
from zoo.derived.work.run import Run
from zoo.derived.work.weights import constants, part
from zoo.foundation.precision import full_float32, narrowed, without_x64

assert links and places and selections  # which register rules
MOST_WORK = (
    0.25  # of what a pass of the network at every rank would take; beyond, nothing is gained
)


class Shapes(NamedTuple):
    """The shapes of variables and context, hashable: what a derivation depends on beside the
    model."""

    leaves: tuple[tuple[tuple[int, ...], Any], ...]
    tree: Any

    @staticmethod
    def of(tree: PyTree) -> Shapes:
        """Those of a tree of arrays."""
        leaves, structure = jax.tree.flatten(tree)
        return Shapes(tuple((tuple(np.shape(a)), np.dtype(a.dtype)) for a in leaves), structure)

    def structs(self) -> PyTree:
        """The tree, of shapes."""
        return jax.tree.unflatten(self.tree, [jax.ShapeDtypeStruct(*each) for each in self.leaves])


class Derivation(NamedTuple):
    """A derived step of a model, for any batch.

    Attributes:
      program: the plan with its buffers.
      inputs: the nodes of the weights, the memory and the canvas.
      axes: which axis of each array of the memory counts examples; -1 if none does.
      ops: the operations of the network, loops not laid out.
      jaxpr: the network as it was traced.
    """

    program: Program
    inputs: list[Node]
    axes: list[int]
    ops: list[Op]
    jaxpr: ClosedJaxpr


def derivation(model: Autoregressive, variables: Shapes, context: Shapes) -> Derivation:
    """Derives the step of a model.

    Raises:
      Refused: the model cannot be followed; the message says what and where.
    """
    variables, context = variables.structs(), context.structs()

    def memory_of(size):
        one = batch_axes.resized(context, size)
        return jax.eval_shape(lambda v, c: model.apply(v, c, method="encode"), variables, one)

    memory = memory_of(1)
    axes = (
        jax.tree.leaves(batch_axes.axes(memory_of))
        if context is not None
        else [-1] * len(jax.tree.leaves(memory))
    )
    leaves, tree = jax.tree.flatten((variables, memory))
    canvas = jax.ShapeDtypeStruct((1, *model.site_shape, *model.head.event_shape), model.head.dtype)

    def network(leaves, x):
        variables, memory = jax.tree.unflatten(tree, leaves)
        return full_float32(model.apply)(variables, x, memory)

    jaxpr = jax.make_jaxpr(network)(leaves, canvas)
    plain, *others = clocks_of(tuple(model.site_shape), np.asarray(model.sites))
    try:
        return _planned(model, jaxpr, axes, len(leaves), plain)
    except NoTurn as found:
        refused = found
    for clock in others:
        with contextlib.suppress(Refused):
            return _planned(model, jaxpr, axes, len(leaves), clock)
    raise refused


def _planned(model, jaxpr, axes, num_leaves, clock):
    """The derivation by a clock.

    Raises:
      NoTurn: several iterations of a recurrence become known at once, and have no ticks.
      Refused: the model cannot be followed.
    """
    ops, inputs, output = graph_of(jaxpr)
    for node, axis in zip(inputs[num_leaves - len(axes) :], axes, strict=False):
        node.batched = axis >= 0
    canvas, ticks = inputs[-1], clock.of_ranks
    event = (1,) * len(model.head.event_shape)
    ranks = np.asarray(model.ordering.ranks(model.site_shape))
    code = (ticks[ranks] + 1).reshape(1, *model.site_shape, *event).astype(np.int32)
    finality.propagate(ops, canvas, inputs, code)
    _check_causal(model, output, ops, clock)
    sites = np.asarray(model.sites)[clock.rank_of_ticks]
    goal = goal_of(output.shape, tuple(model.site_shape), sites)
    plan = Plan(with_sums_in_one(lay_out(ops)), canvas, output, goal, clock)
    share, op = plan.work()
    if share > max(MOST_WORK, 2 / model.num_sites) and op is not None:
        raise Refused(
            "its units become known in no order along an axis, so that almost all of it would be "
            f"computed at every rank ({op.name}, {op.line})"
        )
    program = Program(plan, np.broadcast_to(code - 1, canvas.shape))
    return Derivation(program, inputs, axes, ops, jaxpr)


def _check_causal(model, output, ops, clock):
    if not output.live:  # no params depend on any value
        return
    code = (
        np.broadcast_to(output.code, output.shape)
        .reshape(model.num_sites, -1)
        .max(1)[np.asarray(model.sites)]
    )
    late = np.flatnonzero(code > clock.of_ranks)
    if not len(late):
        return
    read = clock.rank_of_ticks[code[late[0]] - 1]
    reads = f"the params at rank {late[0]} depend on the value at rank {read}"
    found = _overlooked(ops, output)
    if found is None:
        raise NotCausal(f"as far as its operations show, {reads}")
    op, why = found
    raise Refused(f"{why}; were it to read all of its inputs, {reads} ({op.name}, {op.line})")


def _overlooked(ops, output):
    """The last operation before the output that no rule follows, or that makes a constant too large
    to look at; and which of the two. None if there is no such operation."""
    wanted = {output}
    for op in reversed([*_all(ops)]):
        if wanted.isdisjoint(op.outs):
            continue
        if op.known and op.outs[0].value is None and op.name in ("broadcast_in_dim", "iota"):
            return op, f"a constant of shape {op.outs[0].shape} is too large to be looked at"
        if op.body is None and op.name not in codes.RULES and any(out.live for out in op.outs):
            return op, f"{op.name} is not understood"
        wanted.update(op.ins)
        if op.body is not None:
            wanted.update([*op.body.after, *op.body.outputs])
    return None


def _all(ops):
    """The operations, those of a loop's body before the loop itself."""
    for op in ops:
        if op.body is not None:
            yield from _all(op.body.ops)
        yield op


def decoder_of(
    found: Derivation, model: Autoregressive, variables: PyTree, memory: PyTree, batch: int
) -> Decoder:
    """The decoder for a batch, with its weights."""
    program, clock = found.program, found.program.plan.clock
    leaves = [
        *jax.tree.leaves(variables),
        *_of_examples(jax.tree.leaves(memory), found.axes, batch),
    ]
    known = constants(program.plan.ops, found.inputs[:-1], leaves)
    kernels = {op: op.ins[1] for op in program.plan.ops if op.name == "conv_general_dilated"}
    prepared: dict[Any, Any] = {
        op: jax.vmap(convolution.prepared(op))(known[kernel])
        if kernel.batched
        else convolution.prepared(op)(known[kernel])
        for op, kernel in kernels.items()
        if kernel in known and not kernel.loops
    }
    many = dict.fromkeys(program.together.values())
    prepared |= {each: each.weights(known, prepared) for each in many}
    parts = [each for each in program.of_weights if each[0] in known]
    prepared |= {(array, at): part(known[array], array.batched, at) for array, at in parts}

    def run(work, part, cache, x, t):
        at_work = Run(program, known, prepared, batch, x, t, program.kept(cache), part)
        at_work.work(work)
        return at_work

    def remembered(done):
        return program.remembered(done.kept)

    at_rank = {frame: program.work[frame] for frame in ("before", "step")}
    of_row = {"enter": program.work["enter"]}
    drawn = program.plan.steps

    @without_x64
    def init():
        return program.cache({array: each.zeros(batch) for array, each in program.buffers.items()})

    @without_x64
    def enter(cache, x, t):
        x, first = narrowed(x), clock.first_tick(t)
        cache = remembered(run(of_row, None, cache, x, first))
        if not any(program.before_row.values()):
            return cache

        def tick(i, cache):
            return remembered(run(program.before_row, ~drawn, cache, x, first + i))

        return jax.lax.fori_loop(0, clock.extra, tick, cache)

    @without_x64
    def step(cache, x, t):
        done = run(at_rank, drawn, cache, narrowed(x), clock.tick(t))
        params = done.read(program.plan.output, program.plan.goal)
        # What depends on weights alone has no axis of examples: [1, n] then, otherwise [batch, n].
        params = params.reshape(-1, volume(program.plan.goal))
        params = jnp.broadcast_to(params, (batch, params.shape[1]))
        return params, remembered(done)

    @without_x64
    def prefill(cache, x):
        del cache
        canvas = canvas_of(model, narrowed(x))
        params, kept = Prompt(program, found.ops, known, prepared, canvas, x.shape[1]).run()
        return params, program.cache(dict(zip(program.buffers, kept, strict=True)))

    block = clock.block if program.by_rows else model.num_sites
    return Decoder(init, enter, step, block, prefill)


def canvas_of(model: Autoregressive, x: Any) -> Any:
    """The canvas of a prompt, x [batch, n] at the first ranks; zeros elsewhere."""
    shape = (model.num_sites, *model.head.event_shape)
    canvas = jnp.zeros((len(x), *shape), model.head.dtype)
    canvas = canvas.at[:, np.asarray(model.sites)[: x.shape[1]]].set(x.astype(canvas.dtype))
    return canvas.reshape(len(x), *model.site_shape, *model.head.event_shape)


def _of_examples(leaves, axes, batch):
    """Arrays of a batch with the examples in front, and an axis of as many entries as one has where
    they were."""
    result = []
    for leaf, axis in zip(leaves, axes, strict=True):
        if axis >= 0:
            each = leaf.shape[axis] // batch
            leaf = leaf.reshape(*leaf.shape[:axis], batch, each, *leaf.shape[axis + 1 :])
            leaf = jnp.moveaxis(leaf, axis, 0)
        result.append(leaf)
    return result


def goal_of(shape: tuple[int, ...], site_shape: tuple[int, ...], sites: np.ndarray) -> Window:
    """The window of the params of the site at each rank, in an output [1, *site_shape,
    num_params]."""
    full = whole(shape, len(sites))
    places = np.unravel_index(np.asarray(sites), site_shape)
    return (full[0], *(moving(each) for each in places), *full[1 + len(site_shape) :])
