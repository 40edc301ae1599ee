"""A model at a glance: its parameters by layer, what a likelihood costs, what a sampler keeps."""

import re
from typing import Any

import jax
import numpy as np

from zoo.core.arrays import variable_shapes
from zoo.core.checks import check_model
from zoo.core.decoders import decoder
from zoo.core.generative import Generative
from zoo.core.likelihood import log_prob
from zoo.core.model import Autoregressive
from zoo.foundation.arguments import checked
from zoo.foundation.flop_counter import flops


@checked()
def summary(model: Generative) -> str:
    """A table of the model's parameters by layer, and below it what the model describes and costs.

    Nothing is computed and no variables are needed: all figures come from shapes. The lines below
    the table are

      kind: what the model describes, such as images; unit: what its likelihood is stated of.
      sites: the shape of the array of sites, and their number; head: the distribution of a site.
      block: how many consecutive ranks share one `enter`.
      likelihood: FLOPs of one `log_prob` of one example, 2 for each multiplication and addition of
        its matmuls and convolutions; what a mask sets to zero is counted like the rest.
      cache: bytes that a sampler keeps for each example that it draws, and for all together.

    Args:
      model: a model; a large one takes as long as a small one.

    Raises:
      ValueError: `model` is no model.

    Example:
      >>> import zoo
      >>> print(zoo.summary(zoo.NADE((2, 2), hidden=3)))
      NADE
      layer         arrays      parameters
      inward        4x1x3               12
      inward_bias   3                    3
      outward       4x3x1               12
      outward_bias  4x1                  4
      total                             31
      <BLANKLINE>
      kind        images
      unit        example
      sites       2 x 2 = 4
      head        Bernoulli(centre=0.0, temperature=1.0)
      block       4 ranks
      likelihood  2,240 FLOPs an example
      cache       12 bytes an example, 0 bytes for all
    """
    check_model(model)
    context = _context_shapes(model)
    shapes = variable_shapes(model, context)
    rows = [(name, ", ".join(arrays), count) for name, arrays, count in _layers(shapes)]
    total = sum(count for *_, count in rows)
    wide = max(len(row[0]) for row in [("layer",), *rows])
    middle = max(len(row[1]) for row in [("", "arrays"), *rows])
    line = f"{{:{wide}}}  {{:{middle}}}  {{:>14,}}".format
    lines = [type(model).__name__, f"{'layer':{wide}}  {'arrays':{middle}}  {'parameters':>14}"]
    lines += [line(*row) for row in rows]
    lines.append(line("total", "", total))
    lines.append("")
    lines += [f"{name:12}{value}" for name, value in _facts(model, shapes, context)]
    return "\n".join(lines)


def _facts(model, shapes, context):
    sites = " x ".join(map(str, model.site_shape))
    yield "kind", model.kind
    yield "unit", _UNITS.get(model.kind, "site")
    yield "sites", f"{sites} = {model.num_sites:,}"
    yield "head", model.head
    if not isinstance(model, Autoregressive):
        yield "likelihood", LABELS[model.knows]
        return
    each, shared = _cache_bytes(model, shapes, context)
    yield "block", f"{model.block:,} ranks"
    yield "likelihood", f"{_likelihood_flops(model, shapes, context)} FLOPs an example"
    yield "cache", f"{each:,} bytes an example, {shared:,} bytes for all"


# What a model that draws from noise knows of log p(x).
LABELS = {"exact": "exact", "bound": "a lower bound", "none": "no likelihood"}

# What nats are stated of, by kind.
_UNITS = {
    "images": "example",
    "table": "example",
    "text": "char",
    "sound": "sample",
    "translation": "token",
    "captions": "token",
    "labels": "label",
}


def _layers(shapes):
    """(layer, its arrays with their shapes, number of parameters), sorted, layers_2 before layers_10.

    An array that belongs to the model itself is a layer.
    """
    layers: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for path, leaf in jax.tree.leaves_with_path(shapes):
        names = [str(getattr(key, "key", key)) for key in path]
        names = names[1:] if names[0] == "params" else names
        *layer, array = names
        layers.setdefault("/".join(layer or [array]), []).append(
            (array if layer else "", leaf.shape)
        )
    for name, arrays in sorted(layers.items(), key=lambda item: _natural(item[0])):
        shown = [f"{array} {_by(shape)}".strip() for array, shape in arrays]
        yield name, shown, sum(int(np.prod(shape)) for _, shape in arrays)


def _natural(name):
    """A key that sorts numbers inside names by their size."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _by(shape):
    return "x".join(map(str, shape)) or "1"


def _context_shapes(model: Generative) -> Any:
    """The shapes of the context of one example."""

    def context():
        return model.example(1)[1]

    try:
        return jax.eval_shape(context)
    except (TypeError, jax.errors.JAXTypeError):  # an example that numpy makes of jax's arrays
        return jax.eval_shape(lambda: jax.tree.map(np.asarray, context()))


def _likelihood_flops(model, shapes, context):
    x = jax.ShapeDtypeStruct((1, *model.site_shape, *model.head.event_shape), model.head.dtype)
    try:
        count = flops(lambda v, x, c: log_prob(model, v, x, c), shapes, x, context)
    except ValueError:  # a loop whose number of turns is not known
        return "an unknown number of"
    return f"{count:,}"


def _cache_bytes(model, shapes, context):
    """The bytes of a sampler's cache: (for each example, for all together)."""

    def size(batch):
        contexts = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((batch, *leaf.shape[1:]), leaf.dtype), context
        )
        cache = jax.eval_shape(lambda v, c: decoder(model, v, batch, c).init(), shapes, contexts)
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(cache))

    few, more = size(2), size(3)
    return more - few, few - 2 * (more - few)
