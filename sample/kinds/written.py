"""What models that write from a context share: beam search, attention, and a report of how good the
texts are.
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

import zoo
from sample.engines.conditional import BATCH
from sample.kinds.kind import check_counts, check_out
from sample.kinds.places import folder_of
from zoo.foundation.files import to_json


@dataclasses.dataclass(frozen=True)
class Writing:
    """How texts are found, and what is drawn of it."""

    beam: int = 5
    """How many hypotheses a beam search keeps; 1 is greedy, 0 draws exact samples."""
    attention: bool = False
    """Also write a picture of where the model looked when it wrote the first text."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None
    """Where the picture of --attention goes; by default beside the checkpoint."""
    batch_size: int = BATCH
    """How many contexts are read at once."""

    def check(self) -> None:
        """Raises ValueError for values that make no sense."""
        check_counts(batch_size=self.batch_size)
        check_out(self.out)
        if self.beam < 0:
            raise ValueError(f"--beam must be at least 1, or 0 to draw samples; got {self.beam}.")
        if self.out is not None and not self.attention:
            raise ValueError(
                "--out is the picture that --attention draws: add --attention, or drop --out."
            )


def check_attends(writing: Writing, model: zoo.Generative, other: str) -> None:
    """Raises ValueError if attention is to be drawn of a model that has none; `other` is one that
    has.
    """
    if writing.attention and not model.attends:
        raise ValueError(
            f"{type(model).__name__} has no attention to draw: drop --attention, or take {other}."
        )


def first_written(made: Any) -> int:
    """The index of the first text that is not empty."""
    first = next((i for i, tokens in enumerate(made.tokens) if tokens), None)
    if first is None:
        raise ValueError(
            "--attention: nothing was written, so there is nothing to draw; train the model longer."
        )
    return first


def report(
    writing: Writing,
    checkpoint: Path,
    model: zoo.Generative,
    scores: Any,
    path: Path,
    whole: bool,
    **more: Any,
) -> None:
    """Prints how good the texts are; of the `whole` test split it is kept beside the checkpoint."""
    how = "exact samples" if writing.beam == 0 else f"beam of {writing.beam}"
    print(f"{type(model).__name__} from {checkpoint}, {how}: {scores} of {path}")
    if more:
        print(
            f"pointing accuracy {100 * more['pointing_accuracy']:.2f} % of {more['pointed']:,} "
            "digit words"
        )
    if whole:
        kept = folder_of(checkpoint) / "scores.json"
        numbers = {**dataclasses.asdict(scores), **more, "pairs": str(path), "beam": writing.beam}
        kept.write_text(to_json(numbers, 2) + "\n", "utf-8")
        print(f"scores: {kept}")
