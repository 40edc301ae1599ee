"""Copies of a run's metrics for other programs: a .csv, and files of TensorBoard."""

import csv
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from train.runs.folder import Run

Log = Literal["csv", "tensorboard"]
_FIRST = ("step", "seconds")


class Writer(Protocol):
    """Where records of metrics are copied to."""

    def write(self, record: dict[str, Any]) -> None:
        """Copies a record: `step`, `seconds`, and numbers by their names."""
        ...

    def close(self) -> None:
        """Ends the copy."""
        ...


def writers(run: Run, names: Sequence[Log]) -> list[Writer]:
    """The writers of these names, which begin with what the run has recorded so far.

    Raises:
      ImportError: tensorboardX is not installed.
    """
    known: dict[str, Callable[[Run], Writer]] = {"csv": CsvWriter, "tensorboard": TensorBoardWriter}
    return [known[name](run) for name in dict.fromkeys(names)]


class CsvWriter:
    """metrics.csv in the run's folder, a line a record; a new column writes the file again."""

    def __init__(self, run: Run):
        self.path, self.records = run.folder / "metrics.csv", run.records()
        self.columns = list(_FIRST)
        self._rewrite()

    def write(self, record: dict[str, Any]) -> None:
        self.records.append(record)
        if set(record) - set(self.columns):
            self._rewrite()
            return
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.columns, lineterminator="\n").writerow(record)

    def close(self) -> None:
        pass

    def _rewrite(self):
        self.columns = list(dict.fromkeys([*_FIRST, *(name for r in self.records for name in r)]))
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.records)


class TensorBoardWriter:
    """Scalars in the folder `tensorboard` of the run; a resumed run hides what it writes again."""

    def __init__(self, run: Run):
        check_tensorboard()
        from tensorboardX import SummaryWriter

        last = max((record["step"] for record in run.records()), default=0)
        self.writer = SummaryWriter(
            str(run.folder / "tensorboard"), purge_step=last + 1 if last else None
        )

    def write(self, record: dict[str, Any]) -> None:
        for name in set(record) - {"step"}:
            self.writer.add_scalar(name, record[name], record["step"])

    def close(self) -> None:
        self.writer.close()


def check_tensorboard() -> None:
    """Raises ImportError, with what to do, if tensorboardX is not installed."""
    try:
        import tensorboardX  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "--log tensorboard needs tensorboardX: pip install 'autoregressive-zoo[tensorboard]' "
            f"({error})."
        ) from None
