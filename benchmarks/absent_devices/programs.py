"""What a compiled program does, counted in its text."""

import collections
import re
from typing import Any

LEAST = 2**16  # bytes of a copy that counts


class Counted(collections.Counter):
    """How often a computation does what costs time: kernels, copied bytes, conditionals, and loops
    for whose condition the host waits.
    """

    def times(self, factor: int) -> "Counted":
        return Counted({name: factor * value for name, value in self.items()})


FREE = {
    *("parameter", "tuple", "get-tuple-element", "bitcast", "constant", "after-all"),
    *("opt-barrier", "partition-id", "domain", "add-dependency"),
}
# NAME = TYPE OPCODE(...), where a type is one word, or several in brackets.
INSTRUCTION = re.compile(
    r"^\s+(?:ROOT )?%?[\w.\-]+ = (\((?:[^()]|\([^()]*\))*\)|\S+)\s+([\w\-]+)\((.*)$"
)
COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
WIDTH = {"pred": 1, "s8": 1, "u8": 1, "s16": 2, "bf16": 2, "f16": 2, "s64": 8, "f64": 8, "u64": 8}


def count_program(text: str) -> Counted:
    """What a compiled program does in all, loops as often as they are known to run.

    Example:
      >>> text = '''ENTRY %main (a: f32[4]) -> f32[4] {
      ...   %a = f32[4]{0} parameter(0)
      ...   ROOT %b = f32[4]{0} fusion(%a), kind=kLoop, calls=%f
      ... }'''
      >>> dict(count_program(text))
      {'kernels': 1}
    """
    computations: dict[str, list[Any]] = {}
    entry = current = ""
    for line in text.splitlines():
        if found := COMPUTATION.match(line):
            current = found[2]
            computations[current] = []
            entry = current if found[1] else entry
        elif current and (found := INSTRUCTION.match(line)):
            computations[current].append(found.groups())
    return _count(computations, entry)


def _count(computations, name):
    total = Counted()
    for shape, opcode, rest in computations.get(name, ()):
        if opcode in FREE:
            continue
        inner = [_count(computations, each) for each in _called(opcode, rest)]
        if opcode == "while":
            known = re.search(r'"known_trip_count":\{"n":"(\d+)"', rest)
            if known:  # its condition is not computed
                total.update(inner[-1].times(int(known[1])))
            else:  # the host reads the condition at every turn
                total.update(inner[0] + inner[-1])
                total["waits"] += 1
        elif opcode == "conditional":
            total.update(max(inner, key=lambda each: each["kernels"]) if inner else {})
            total["conditionals"] += 1
        elif opcode == "call":
            total.update(*inner)
        else:
            total["kernels"] += 1
            if opcode in ("copy", "copy-start") and (size := _bytes(shape)) >= LEAST:
                total["copied"] += size
    return total


def _called(opcode, rest):
    """The names of the computations that an instruction runs, but for those inside a kernel."""
    keys = {
        "while": r"(?:condition|body)=%?([\w.\-]+)",
        "call": r"to_apply=%?([\w.\-]+)",
        "conditional": r"(?:true|false)_computation=%?([\w.\-]+)",
    }
    if opcode not in keys:
        return []
    if branches := re.search(r"branch_computations=\{([^}]*)\}", rest):
        return [each.strip().lstrip("%") for each in branches[1].split(",")]
    return re.findall(keys[opcode], rest)


def _bytes(shape):
    total = 0
    for dtype, sizes in re.findall(r"(\w+)\[([\d,]*)\]", shape):
        count = 1
        for size in filter(None, sizes.split(",")):
            count *= int(size)
        total += count * WIDTH.get(dtype, 4)
    return total
