"""`python -m train.check MODEL` checks the initial loss, a small batch and the gradients."""

import dataclasses
import sys
from collections.abc import Sequence

from train.cli.options import from_words
from train.engine.prepare import ready
from train.practice.check import check
from train.runs.findings import SUSPICIOUS
from zoo.cli import called, shell


@dataclasses.dataclass(frozen=True)
class CheckFlags:
    """How a training is checked."""

    examples: int = 4
    """How many examples are learnt by heart."""
    seconds: float = 20.0
    """How long they are learnt at most, without the compilation."""

    def __post_init__(self):
        if self.examples < 1:
            raise ValueError(f"--examples must be at least 1; got {self.examples}.")
        if not 0 < self.seconds < float("inf"):
            raise ValueError(f"--seconds must be a positive number; got {self.seconds}.")


def main(argv: Sequence[str] | None = None) -> int:
    """The command; the exit code is 1 if a check is suspicious."""
    with shell():
        choice = from_words(called("train.check"), argv, CheckFlags, "Check the training of")
        _, recipe, dataset = ready(choice.recipe, choice.fixed)
        print(f"{choice.name} on {dataset.description}", file=sys.stderr)
        verdicts = []
        for finding in check(recipe, dataset, choice.flags.examples, choice.flags.seconds):
            print(finding, flush=True)
            verdicts.append(finding.verdict)
        return int(SUSPICIOUS in verdicts)


if __name__ == "__main__":
    sys.exit(main())
