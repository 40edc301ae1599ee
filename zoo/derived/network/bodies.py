"""What the bodies of loops compute and read."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.derived.network.graph import Array, Body


def inside(body: Body) -> Iterator[Array]:
    """All arrays of a body, also those of loops in it."""
    yield from (*body.carries, *body.slices)
    for op in body.ops:
        yield from op.outs
        if op.body is not None:
            yield from inside(op.body)


def read_in(body: Body) -> set[Array]:
    """The arrays that a body reads and does not compute."""
    read = {*body.after, *body.outputs}
    for op in body.ops:
        read |= {*op.ins} | (read_in(op.body) if op.body is not None else set())
    return read - set(inside(body))


def read_from_outside(body: Body) -> set[Array]:
    """The arrays that depend on the canvas, lie outside of all loops and are read in a body."""
    return {each for each in read_in(body) if each.live and not each.loops}
