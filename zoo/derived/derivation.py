"""From a model to its derived decoder: trace, find what is final when, plan, check, run."""

from __future__ import annotations

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
from zoo.derived.loops import lay_out
from zoo.derived.network import codes, finality
from zoo.derived.network.graph import Array as Node
from zoo.derived.network.graph import Op, graph_of
from zoo.derived.network.windows import NotCausal, Refused, Window, moving, volume, whole
from zoo.derived.plan import Plan
from zoo.derived.work.prompt import Prompt
from zoo.derived.work.run import Program, Run
from zoo.derived.work.weights import constants
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
    ops, inputs, output = graph_of(jaxpr)
    for node, axis in zip(inputs[len(leaves) - len(axes) :], axes, strict=False):
        node.batched = axis >= 0
    ranks = np.asarray(model.ordering.ranks(model.site_shape))
    event = (1,) * len(model.head.event_shape)
    code = (ranks + 1).reshape(1, *model.site_shape, *event).astype(np.int32)
    finality.propagate(ops, inputs[-1], inputs, code)
    goal = goal_of(output.shape, tuple(model.site_shape), np.asarray(model.sites))
    _check_causal(model, output, ops)
    plan = Plan(lay_out(ops), inputs[-1], output, goal, _block(model))
    share, op = plan.work()
    if share > max(MOST_WORK, 2 / plan.num_ranks) and op is not None:
        raise Refused(
            "its units become known in no order along an axis, so that almost all of it would be "
            f"computed at every rank ({op.name}, {op.line})"
        )
    program = Program(plan, np.broadcast_to(code - 1, canvas.shape))
    return Derivation(program, inputs, axes, ops, jaxpr)


def _check_causal(model, output, ops):
    if not output.live:  # no params depend on any value
        return
    code = (
        np.broadcast_to(output.code, output.shape)
        .reshape(model.num_sites, -1)
        .max(1)[np.asarray(model.sites)]
    )
    late = np.flatnonzero(code > np.arange(model.num_sites))
    if not len(late):
        return
    reads = f"the params at rank {late[0]} depend on the value at rank {code[late[0]] - 1}"
    if (op := _without_rule(ops, output)) is not None:
        raise Refused(
            f"{op.name} is not understood; were it to read all of its inputs, {reads} "
            f"({op.name}, {op.line})"
        )
    raise NotCausal(f"as far as its operations show, {reads}")


def _without_rule(ops, output):
    """The last operation before the output that no rule follows, if there is one."""
    wanted = {output}
    for op in reversed([*_all(ops)]):
        if not any(out.live and out in wanted for out in op.outs):
            continue
        if op.body is None and op.name not in codes.RULES:
            return op
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


def _block(model):
    """The ranks of a row or of a column, if the ordering visits one after the other; otherwise
    0."""
    if len(model.site_shape) < 2:
        return 0
    places = np.unravel_index(np.asarray(model.sites), model.site_shape)
    for axis in (0, 1):
        size = model.num_sites // model.site_shape[axis]
        lines = places[axis].reshape(-1, size)
        if 1 < size < model.num_sites and (lines == lines[:, :1]).all():
            return size
    return 0


def decoder_of(
    found: Derivation, model: Autoregressive, variables: PyTree, memory: PyTree, batch: int
) -> Decoder:
    """The decoder for a batch, with its weights."""
    program, block = found.program, found.program.plan.block
    leaves = [
        *jax.tree.leaves(variables),
        *_of_examples(jax.tree.leaves(memory), found.axes, batch),
    ]
    known = constants(program.plan.ops, found.inputs[:-1], leaves)
    kernels = {op: op.ins[1] for op in program.plan.ops if op.name == "conv_general_dilated"}
    prepared = {
        op: jax.vmap(convolution.prepared(op))(known[kernel])
        if kernel.batched
        else convolution.prepared(op)(known[kernel])
        for op, kernel in kernels.items()
        if kernel in known and not kernel.loops
    }

    def run(frames, cache, x, t):
        at_work = Run(
            program, known, prepared, batch, x, t, dict(zip(program.buffers, cache, strict=True))
        )
        for frame in frames:
            at_work.work(frame)
        return at_work

    @without_x64
    def init():
        return tuple(each.zeros(batch) for each in program.buffers.values())

    @without_x64
    def enter(cache, x, t):
        done = run(("enter",), cache, narrowed(x), t)
        return tuple(done.kept[array] for array in program.buffers)

    @without_x64
    def step(cache, x, t):
        done = run(("before", "step"), cache, narrowed(x), t)
        params = done.read(program.plan.output, program.plan.goal)
        # What depends on weights alone has no axis of examples: [1, n] then, otherwise [batch, n].
        params = params.reshape(-1, volume(program.plan.goal))
        params = jnp.broadcast_to(params, (batch, params.shape[1]))
        return params, tuple(done.kept[array] for array in program.buffers)

    @without_x64
    def prefill(cache, x):
        del cache
        canvas = canvas_of(model, narrowed(x))
        return Prompt(program, found.ops, known, prepared, canvas, x.shape[1]).run()

    if any(program.work["enter"]):
        return Decoder(init, enter, step, block)
    return Decoder(init, enter, step, model.num_sites, prefill)


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
