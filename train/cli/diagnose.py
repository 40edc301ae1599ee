"""`python -m train.diagnose RUN` says what the curves of a run show."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from train.runs.diagnosis import diagnose
from train.runs.folder import Run, RunError, find
from zoo.cli import called, read_flags, shell
from zoo.core.model_files import find_run, is_own, take_classes


@dataclasses.dataclass(frozen=True)
class Options:
    """What the curves of a run show, and what to do."""

    run: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A run folder, a model's name for its newest run under runs/, or FILE.py:Class for the newest
    run of that class.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """The command; the exit code is 0 whatever the curves show."""
    with shell():
        words, _ = take_classes(sys.argv[1:] if argv is None else argv)
        options = read_flags(Options, called("train.diagnose"), args=words)
        run = _run(options.run)
        print(run.folder)
        for finding in diagnose(run.records()):
            print(finding)
        return 0


def _run(what: str) -> Run:
    """The run, also one that is still training."""
    if is_own(what):
        return Run(find_run(what).parent)
    folder = Run(Path(what))
    if folder.folder.is_dir() and not folder.config.exists():
        raise RunError(
            f"{what} holds no run (no config.json): pass a folder that python -m train wrote, or a "
            "model's name."
        )
    try:
        return find(what)
    except RunError:
        if (run := _of_series(what)) is None:
            raise
        return run


def _of_series(what: str) -> Run | None:
    """The newest trained run of a series of seeds or folds, if the word means one."""
    try:
        run = Run(find_run(what).parent)
    except ValueError:
        return None
    return run if run.metrics.exists() else None


if __name__ == "__main__":
    sys.exit(main())
