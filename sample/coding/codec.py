"""Values as bytes and back, without loss, at -log2 p bits."""

import functools
import zlib
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree, Shaped

import zoo
from sample.coding import container
from sample.coding.batches import begun, parts_of_batch, push, read
from sample.coding.lanes import Reader, Writer
from sample.coding.single_lane import MOST_ROWS
from sample.coding.streams import LEAST
from sample.coding.symbols import check_coded, has_windows
from sample.coding.task import Task, as_coded, check_same_context, dtype_name, task_of
from sample.engines.cores import cores, parts_of, together
from sample.engines.program_sizes import few
from zoo.core.arrays import check_variables
from zoo.core.checks import check_inputs, kind
from zoo.foundation.arguments import checked, shown
from zoo.foundation.precision import narrowed
from zoo.foundation.processes import local_mesh


@checked(batch_size=1)
def compress(
    model: zoo.Generative,
    variables: zoo.Variables,
    x: Any,
    context: PyTree = None,
    *,
    batch_size: int = 256,
) -> bytes:
    """Compresses values without loss, to about -log2 p(x | context) bits.

    The bytes hold a header of some hundred bytes and the payload, within 0.1 % and 64 bits of
    -log2 p. They can be read with the same model, context, hardware and versions only, because the
    last bit of the model's probabilities decides. A model of several masks or orderings codes by
    itself, as `zoo.log_prob` scores, not by the mixture of its members.

    Args:
      model: an autoregressive model with a discrete head.
      variables: its variables.
      x: values [num, *site_shape, *event_shape], integers.
      context: what the model conditions on, leading axis `num`; it is not stored.
      batch_size: how many examples are coded at once.

    Returns:
      The bytes that `decompress` reads.

    Raises:
      ValueError: the model has no conditionals or describes real numbers, or `x`, `context` or
        `variables` do not fit it.

    Example:
      >>> import jax, numpy as np
      >>> import sample, zoo
      >>> model = zoo.NADE((4, 4), hidden=3)
      >>> variables = zoo.init(model, jax.random.key(0), np.zeros((1, 4, 4), np.int32))
      >>> x = np.random.RandomState(0).randint(0, 2, (20, 4, 4), np.uint8)
      >>> data = sample.compress(model, variables, x)
      >>> back = sample.decompress(model, variables, data)
      >>> back.dtype.name, bool((back == x).all())
      ('uint8', True)
    """
    header, payload = coded(model, variables, x, context, batch_size=batch_size)
    return container.wrapped(header, payload)


def coded(
    model: Any,
    variables: zoo.Variables,
    x: Any,
    context: PyTree = None,
    *,
    batch_size: int = 256,
    last: int | None = None,
) -> tuple[dict[str, Any], bytes]:
    """The header and the payload of `compress`; only the first `last` ranks of the last example are
    coded, by default all.
    """
    check_coded(model)
    x = x if hasattr(x, "dtype") else np.asarray(x)
    check_inputs(model, variables, x, context)
    x = np.asarray(x)
    dtype = dtype_name(x)
    rows = min(few(len(x)), batch_size, MOST_ROWS)
    context = _on_host(context)
    at_once = parts_of(rows, model, variables, context, local_mesh())
    rows = -(-rows // at_once)
    last = model.num_sites if last is None else last
    task = Task(model, variables, context, len(x), rows, last)
    streams = _write(task, x.reshape(len(x), model.num_sites, *model.head.event_shape), at_once)
    header = {
        "model": container.model_digest(model, variables),
        "class": kind(model),
        "context": container.context_digest(context),
        "num": len(x),
        "last": last,
        "site_shape": list(model.site_shape),
        "dtype": dtype,
        "batch": rows,
        "growth": [growth for growth, _ in streams],
        "sizes": [len(payload) for _, payload in streams],
        "surroundings": container.surroundings(),
    }
    return header, b"".join(payload for _, payload in streams)


def _write(task, x, at_once):
    """The streams of a file, (growth, payload) each: one until its lanes grow, and then several."""
    first = _Stream(task, LEAST + _checksum(x))
    streams = [first]
    for end in range(task.batches, 0, -at_once):
        batches = range(end - 1, max(0, end - at_once) - 1, -1)
        with_peaks = min(stream.writer.lanes for stream in streams) == 1
        calls = [functools.partial(parts_of_batch, task, b, x, with_peaks) for b in batches]
        parts = together(calls, at_once)
        left = [(b, part, task.model.num_sites) for b, part in zip(batches, parts, strict=True)]
        while left and not first.growth:
            batch, part, ranks = left.pop(0)
            first.writer.branches = min(at_once, batch + 1) - 1
            ranks = first.push(batch, part, ranks, until_growth=True)
            if first.growth:
                left = [(batch, part, ranks), *left]
                streams += [_Stream(task, base) for base in first.writer.bases]
        shares = _shares(batches, first.growth, len(streams), task)
        calls = [
            functools.partial(stream.push_all, [item for item in left if item[0] in share])
            for stream, share in zip(streams, shares, strict=True)
        ]
        together(calls, at_once)
    return [(stream.growth, stream.writer.finish()) for stream in streams]


class _Stream:
    """A stream that is written, and the ranks of the file at which its lanes have grown."""

    def __init__(self, task, base):
        self.task, self.writer, self.growth = task, Writer(task.rows, base), []

    def push(self, batch, parts, end, until_growth=False):
        """Pushes the ranks of a batch before `end`; returns the first that is pushed."""
        windows = has_windows(self.task.model.head)
        end, marks = push(self.writer, parts, windows, end, until_growth)
        self.growth += [batch * self.task.model.num_sites + mark for mark in marks]
        return end

    def push_all(self, items):
        """Pushes batches, each with its parts and its end."""
        for item in items:
            self.push(*item)


def _shares(batches, marks, number, task):
    """The batches of each stream: they go in turn from where the first stream grew, which has all
    behind it as well.
    """
    birth = marks[0] // task.model.num_sites if marks else -1
    owners = {b: (birth - b) % number if b <= birth else 0 for b in batches}
    return [[b for b in batches if owners[b] == i] for i in range(number)]


@checked()
def decompress(
    model: zoo.Generative, variables: zoo.Variables, data: Any, context: PyTree = None
) -> Shaped[np.ndarray, "num ..."]:
    """Returns the values that `compress` was given, bit for bit.

    Args:
      model, variables, context: those that the values were compressed with.
      data: what `compress` returned.

    Returns:
      Values [num, *site_shape, *event_shape], of the dtype that they had, in native byte order.

    Raises:
      ValueError: the data are empty, truncated, damaged or foreign, of another version, of another
        model or context, or were compressed with other versions or on other hardware.

    Example:
      >>> import jax, numpy as np
      >>> import sample, zoo
      >>> model = zoo.NADE((4, 4), hidden=3)
      >>> variables = zoo.init(model, jax.random.key(0), np.zeros((1, 4, 4), np.int32))
      >>> data = sample.compress(model, variables, np.zeros((3, 4, 4), np.int32))
      >>> sample.decompress(model, variables, data).shape
      (3, 4, 4)
      >>> try:
      ...     sample.decompress(model, variables, data[:-1])
      ... except ValueError as error:
      ...     print(str(error).partition(":")[0])
      the data are truncated
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ValueError(f"data must be bytes, as sample.compress returns them; got {shown(data)}.")
    return decoded(model, variables, *container.unwrapped(bytes(data)), context)


def decoded(
    model: Any, variables: zoo.Variables, header: dict[str, Any], payload: bytes, context: PyTree
) -> np.ndarray:
    """The values of a header and a payload; those that were not coded are 0."""
    check_coded(model)
    model, context = as_coded(model, header), _on_host(context)
    check_same_context(model, header, context)
    check_variables(model, variables, context)
    if header.get("model") != container.model_digest(model, variables):
        raise ValueError(
            f"the data were compressed by another model ({header.get('class')}): the digests of "
            f"model and weights differ from those of this {kind(model)}."
        )
    container.check_surroundings(header.get("surroundings"))
    task = task_of(model, variables, header, context)
    try:
        x = _read(task, header, payload)
    except ValueError as error:
        raise ValueError(f"the data are damaged: {error}.") from None
    if x is None:
        raise ValueError(
            "the data do not decode to what was compressed: this machine computes other last bits "
            "than the one that compressed them; decompress them there."
        )
    return x.reshape(len(x), *model.site_shape, *model.head.event_shape)


def _read(task, header, payload):
    """The values, [num, num_sites, *event_shape]; None if they are not those that were written."""
    growth, number = header["growth"], len(header["sizes"])
    ends = np.cumsum(header["sizes"])
    pieces = [payload[end - size : end] for end, size in zip(ends, header["sizes"], strict=True)]
    branches = [number - 1] + [0] * (number - 1)
    readers = list(map(Reader, pieces, [task.rows] * number, map(len, growth), branches))
    found: dict[int, Any] = {}

    def of_stream(i, batches):
        """Reads batches, until this stream has to wait for the others."""
        for batch in batches:
            so_far = found.pop(batch, None) or begun(task, batch, growth[i])
            found[batch] = read(task, batch, readers[i], so_far)
            if found[batch].cuts:
                return batches[batches.index(batch) :]
            found[batch] = np.asarray(found[batch].coding.x).astype(header["dtype"])
        return []

    shares = _shares(range(task.batches), growth[0], number, task)
    calls = [functools.partial(of_stream, *each) for each in enumerate(shares)]
    left = together(calls, min(number, cores()))[0]
    if left:
        readers[0].bases = [reader.base() for reader in readers[1:]]
        of_stream(0, left)
    x = np.concatenate([found[batch] for batch in range(task.batches)])[: task.num]
    return x if readers[0].base() == LEAST + _checksum(x) else None


def _on_host(context):
    return None if context is None else jax.tree.map(np.asarray, narrowed(context))


def _checksum(x):
    """32 bits of the values, whatever their dtype."""
    return zlib.crc32(np.ascontiguousarray(x, np.int32).tobytes())
