"""Values as bytes and back, without loss, at -log2 p bits."""

import zlib
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree, Shaped

import zoo
from sample.coding import container, single_lane
from sample.coding.lanes import Reader, Writer
from sample.coding.program import WRITING, Coding, Job, advance, begin
from sample.coding.pushing import checked_parts
from sample.coding.single_lane import MOST_ROWS
from sample.coding.symbols import check_coded, has_windows, per_site
from sample.coding.task import Task, as_coded, check_same_context, dtype_name, task_of
from sample.engines.program_sizes import few
from zoo.core.arrays import check_variables
from zoo.core.checks import check_inputs, kind
from zoo.foundation.arguments import checked, shown
from zoo.foundation.precision import narrowed


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
    last = model.num_sites if last is None else last
    task = Task(model, variables, context, len(x), rows, last)
    writer = Writer(rows, _checksum(x))
    growth: list[int] = []
    flat = x.reshape(len(x), model.num_sites, *model.head.event_shape)
    for batch in range(task.batches - 1, -1, -1):
        parts = _parts(task, batch, flat, writer.lanes == 1)
        ranks = _write(writer, parts, has_windows(model.head))
        growth += [batch * model.num_sites + rank for rank in ranks]
    header = {
        "model": container.model_digest(model, variables),
        "class": kind(model),
        "context": container.context_digest(context),
        "num": len(x),
        "last": last,
        "site_shape": list(model.site_shape),
        "dtype": dtype,
        "batch": rows,
        "growth": growth,
        "surroundings": container.surroundings(),
    }
    return header, writer.finish()


def _write(writer, parts, windows):
    """Pushes the symbols of a batch; returns the ranks at which the number of lanes has grown."""
    rank, growth = len(parts), []
    on_host = np.asarray(parts) if writer.lanes == 1 else np.zeros(0)
    while rank:
        if writer.lanes == 1 < writer.rows:
            rank -= 1
            for part in on_host[rank, ::-1]:  # of a symbol, [4, rows]
                writer.push_first(_on_one_lane(part, windows))
        else:
            rank = writer.push(parts, rank)
        while writer.grow():
            growth.append(rank)
    return growth


def _on_one_lane(part, windows):
    """The symbols (start, count) of all rows, one after the other."""
    return single_lane.written(*part) if windows else list(zip(*part[:2].tolist(), strict=True))


def _parts(task, batch, x, with_peaks):
    """The parts of a batch, [num_sites, symbols, 4, rows]."""
    parts = _forward(task, batch, x, with_peaks).parts
    parts, is_sound = checked_parts(parts, task.lengths(batch))
    if not is_sound:
        raise ValueError(
            f"{kind(task.model)} gives no probabilities to some values: its head's log_prob is not "
            "that of a distribution."
        )
    return parts


def _forward(task, batch, x, with_peaks):
    """The parts of a batch of known values, computed on the device."""
    model, variables, context = task.model, task.variables, task.context_of(batch)
    known = x[task.indices(batch)].astype(model.head.dtype)
    states, words = Reader.nothing(task.rows, _capacity(model, task.rows))
    ranks = np.int32(0), np.int32(model.num_sites)
    lengths = task.lengths(batch)
    job = Job(known, np.int32(WRITING), lengths, *ranks, np.bool_(with_peaks), np.int32(0))
    coding = begin(model, variables, context, task.rows)
    return advance(model, variables, context, coding, job, states, words)[0]


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
        reader = Reader(payload, task.rows, len(header["growth"]))
        pieces = [_read(task, batch, reader, header) for batch in range(task.batches)]
    except ValueError as error:
        raise ValueError(f"the data are damaged: {error}.") from None
    x = np.concatenate(pieces)[: task.num]
    if not reader.is_done(_checksum(x)):
        raise ValueError(
            "the data do not decode to what was compressed: this machine computes other last bits "
            "than the one that compressed them; decompress them there."
        )
    return x.reshape(len(x), *model.site_shape, *model.head.event_shape)


def _read(task, batch, reader, header):
    """The values of a batch, [rows, num_sites, *event_shape]."""
    model, variables, context = task.model, task.variables, task.context_of(batch)
    known = np.zeros((task.rows, model.num_sites, *model.head.event_shape), model.head.dtype)
    coding: Coding = begin(model, variables, context, task.rows)
    offset, first = batch * model.num_sites, 0
    marks = [mark - offset for mark in header["growth"][::-1]]
    cuts = [mark for mark in marks if 0 <= mark < model.num_sites]
    for end in (*cuts, model.num_sites):
        if end > first:
            way, lengths = np.int32(reader.growth), task.lengths(batch)
            ranks, available = (np.int32(first), np.int32(end)), min(reader.available, 2**31 - 1)
            job = Job(known, way, lengths, *ranks, np.False_, np.int32(available))
            states, words = reader.load(_capacity(model, task.rows))
            coding, states = advance(model, variables, context, coding, job, states, words)
            reader.store(states)
        if end < model.num_sites:
            reader.shrink()
        first = end
    return np.asarray(coding.x).astype(header["dtype"])


def _capacity(model, rows):
    """The most words that a batch can read: a symbol reads one at most, and seeds come back."""
    return (model.num_sites * per_site(model.head) + 8) * rows


def _on_host(context):
    return None if context is None else jax.tree.map(np.asarray, narrowed(context))


def _checksum(x):
    """32 bits of the values, whatever their dtype."""
    return zlib.crc32(np.ascontiguousarray(x, np.int32).tobytes())
