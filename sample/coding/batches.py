"""A batch of values on the device: the parts of its symbols, how they are written, and back."""

from typing import Any

import numpy as np
from jaxtyping import Int32, Shaped

from sample.coding import single_lane
from sample.coding.lanes import Reader, Writer
from sample.coding.program import WRITING, Coding, Job, advance, begin
from sample.coding.pushing import checked_parts
from sample.coding.symbols import per_site
from sample.coding.task import Task
from zoo.core.checks import kind

Parts = Int32[Any, "num_sites symbols 4 rows"]


def parts_of_batch(task: Task, batch: int, x: Any, with_peaks: bool) -> Parts:
    """The parts of every symbol of a batch of `x` [num, num_sites, *event_shape].

    Raises:
      ValueError: the model gives no probability to some value.
    """
    parts = forward(task, batch, x, with_peaks).parts
    parts, is_sound = checked_parts(parts, task.lengths(batch))
    if not is_sound:
        raise ValueError(
            f"{kind(task.model)} gives no probabilities to some values: its head's log_prob is not "
            "that of a distribution."
        )
    return parts


def forward(task: Task, batch: int, x: Any, with_peaks: bool) -> Coding:
    """The parts of a batch of known values, computed on the device."""
    model, variables, context = task.model, task.variables, task.context_of(batch)
    known = x[task.indices(batch)].astype(model.head.dtype)
    states, words = Reader.nothing(task.rows, _capacity(model, task.rows))
    ranks = np.int32(0), np.int32(model.num_sites)
    lengths = task.lengths(batch)
    job = Job(known, np.int32(WRITING), lengths, *ranks, np.bool_(with_peaks), np.int32(0))
    coding = begin(model, variables, context, task.rows)
    return advance(model, variables, context, coding, job, states, words)[0]


def push(writer: Writer, parts: Parts, windows: bool) -> list[int]:
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


def read(
    task: Task, batch: int, reader: Reader, marks: list[int]
) -> Shaped[np.ndarray, "rows num_sites ..."]:
    """The values of a batch, [rows, num_sites, *event_shape]."""
    model, variables, context = task.model, task.variables, task.context_of(batch)
    known = np.zeros((task.rows, model.num_sites, *model.head.event_shape), model.head.dtype)
    coding: Coding = begin(model, variables, context, task.rows)
    offset, first = batch * model.num_sites, 0
    cuts = [mark - offset for mark in marks if 0 <= mark - offset < model.num_sites]
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
    return np.asarray(coding.x)


def _capacity(model, rows):
    """The most words that a batch can read: a symbol reads one at most, and seeds come back."""
    return (model.num_sites * per_site(model.head) + 8) * rows
