"""The schedules of the learning rate by name, and the fields of a recipe that shape each."""

import itertools
from typing import Any, Literal

Schedule = Literal[
    "constant", "linear", "cosine", "step", "exponential", "inverse_sqrt", "cyclic", "one_cycle"
]

OWN: dict[str, dict[str, Any]] = {
    "constant": {},
    "linear": {"final_rate": 0.0},
    "cosine": {"final_rate": 0.0},
    "step": {"drop_at": (0.5, 0.75), "drop_factor": 0.1},
    "exponential": {"final_rate": 0.01},
    "inverse_sqrt": {},
    "cyclic": {"cycles": 5, "final_rate": 0.0},
    "one_cycle": {"final_rate": 4e-6},
}
"""The fields of each schedule, with their defaults."""

FIELDS = ("final_rate", "cycles", "drop_at", "drop_factor")
POSITIVE = ("exponential", "one_cycle")  # never reach a rate of 0


def fields_of(schedule: str, given: dict[str, Any]) -> dict[str, Any]:
    """The fields that shape a schedule: those given that are not None, else its defaults.

    Raises:
      ValueError: a field that this schedule does not have; the message names those that do.

    Example:
      >>> fields_of("cyclic", {"cycles": 3, "drop_at": None})
      {'cycles': 3, 'final_rate': 0.0}
    """
    own = OWN[schedule]
    given = {name: value for name, value in given.items() if value is not None}
    if odd := [name for name in given if name not in own]:
        flag = f"--{odd[0].replace('_', '-')}"
        others = ", ".join(name for name, fields in OWN.items() if odd[0] in fields)
        raise ValueError(
            f"{flag} is not supported by the schedule {schedule}: drop it, or choose another "
            f"--schedule ({others})."
        )
    return {**own, **given}


def check_fields(schedule: str, fields: dict[str, Any], steps: int) -> None:
    """Raises ValueError for values of `fields_of` that no training of so many steps can have."""
    drop_at, drop = fields.get("drop_at", ()), fields.get("drop_factor", 0.1)
    if not all(0 < place < 1 for place in drop_at) or not _rises(drop_at):
        raise ValueError(
            f"drop_at must be fractions of all steps, between 0 and 1 and rising; got {drop_at}."
        )
    if not 0 < drop < 1:
        raise ValueError(f"drop_factor must lie between 0 and 1; got {drop}.")
    final_rate = fields.get("final_rate", 0.0)
    if not final_rate >= 0:
        raise ValueError(f"final_rate must not be negative; got {final_rate}.")
    if final_rate == 0 and schedule in POSITIVE:
        raise ValueError(
            f"final_rate must be positive for the schedule {schedule}; got 0: drop it, or pass "
            "a small one such as 0.001."
        )
    if not 1 <= (cycles := fields.get("cycles", 1)) <= steps:
        raise ValueError(
            f"cycles must be at least 1 and at most the {steps:,} steps; got {cycles}."
        )


def _rises(values):
    return all(a < b for a, b in itertools.pairwise(values))


def cycle_ends(steps: int, cycles: int) -> tuple[int, ...]:
    """How many steps are done at the end of each cycle; they differ in length by 1 at most.

    Example:
      >>> cycle_ends(100, 3)
      (33, 66, 100)
    """
    return tuple(steps * (cycle + 1) // cycles for cycle in range(cycles))
