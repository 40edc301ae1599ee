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
    r"^\s+(?:ROOT )?%?([\w.\-]+) = (\((?:[^()]|\([^()]*\))*\)|\S+)\s+([\w\-]+)\((.*)$"
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
    return _count(computations, entry, ())


def _count(computations, name, known):
    """What a computation does; `known` are numbers that it gets, None for others."""
    total = Counted()
    for _, shape, opcode, rest in computations.get(name, ()):
        if opcode in FREE:
            continue
        stays = _unchanged(computations, name, rest, known) if opcode == "while" else ()
        inner = [_count(computations, each, stays) for each in _called(opcode, rest)]
        if opcode == "while":
            turns = _turns(computations, name, rest, known)
            if turns is not None:
                total.update(inner[-1].times(turns))
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


def _turns(computations, name, rest, known):
    """How often a loop runs: as the compiler says, or as its condition, i < n, and the first i do;
    None if that is not known. Loops of jax count by one.
    """
    if stated := re.search(r'"known_trip_count":\{"n":"(\d+)"', rest):
        return int(stated[1])
    condition, _ = _called("while", rest)
    *_, (_, _, opcode, compared) = computations[condition]
    first = _carried(computations, name, rest, known)
    ends = [_constant(computations[condition], each, first) for each in _operands(compared)]
    if opcode != "compare" or "direction=LT" not in compared or None in ends:
        return None
    return ends[1] - ends[0]


def _carried(computations, name, rest, known):
    """What a loop carries at first, where that is a known number."""
    tuples = {each[0]: each[3] for each in computations[name] if each[2] == "tuple"}
    values = _operands(tuples.get(_operands(rest)[0], ""))
    return [_constant(computations[name], each, known) for each in values]


def _unchanged(computations, name, rest, known):
    """Of what a loop carries the known numbers that no turn changes."""
    body = computations[_called("while", rest)[1]]
    after = _operands(body[-1][3]) if body[-1][2] == "tuple" else []
    taken = {each[0]: _index(each[3]) for each in body if each[2] == "get-tuple-element"}
    first = enumerate(_carried(computations, name, rest, known))
    return [n if taken.get(each) == k else None for (k, n), each in zip(first, after, strict=False)]


def _constant(instructions, name, known):
    """The number of an instruction, given what its computation gets; None if it is not known."""
    opcode, rest = next((each[2:] for each in instructions if each[0] == name), ("", ""))
    if opcode == "constant" and (number := re.match(r"-?\d+(?=\))", rest)):
        return int(number[0])
    if opcode == "get-tuple-element":
        return known[_index(rest)] if _index(rest) < len(known) else None
    return _constant(instructions, _operands(rest)[0], known) if opcode == "copy" else None


def _index(rest):
    return int(rest.split("index=")[1].split(",")[0])


def _operands(rest):
    return re.findall(r"%([\w.\-]+)", rest.split(")")[0])


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
