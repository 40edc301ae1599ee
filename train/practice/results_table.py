"""A table of finished runs: a row for runs that differ in their seed and fold only.

The error over runs is the standard deviation of their numbers, divided by the square root of how
many they are. The error over examples is that of one run, by how much its test examples differ: of
several seeds, which are scored on the same examples, the root of the mean square; of K folds, whose
examples differ, the root of the sum of squares of the folds' errors, divided by K.
"""

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from train.recipe.recipe import PLACES, Recipe, differences, to_json
from train.runs.folder import Run, RunError, find

_FREE = {"seed", "data.fold", *(f"data.{place}" for place in PLACES)}
_SIZED = {
    "steps",
    "batch_size",
    "weight_decay",
    "eval_every",
}  # suit the rows, which folds differ in


class Result(NamedTuple):
    """A finished run.

    Attributes:
      run: its folder.
      name: of its model.
      recipe: its recipe.
      numbers: what results.json says.
    """

    run: Run
    name: str
    recipe: Recipe
    numbers: dict[str, Any]

    @property
    def space(self) -> tuple[str, str]:
        """(the data without their fold, what the number is): numbers of one table share them."""
        data = self.numbers["data"].partition(", fold ")[0]
        knows, unit = self.numbers.get("knows", "exact"), self.numbers.get("unit", "example")
        if knows == "none":
            return data, f"{self.numbers['watched_name']} (no likelihood)"
        bound = f", a bound of {self.numbers['draws']:,} draws" if knows == "bound" else ""
        return data, f"nats/{unit}{bound}"


class Number(NamedTuple):
    """A number of a row: its mean over the runs, and the two errors (nan where there is none)."""

    mean: float
    over_runs: float
    over_examples: float


class Row(NamedTuple):
    """Runs that differ in their seed and fold only.

    Attributes:
      label: the model, with what sets it apart from other rows of that model.
      data, unit: what the numbers are of.
      seeds, folds: those of the runs; folds are () for data without.
      number: the likelihood, or what a model without one is watched by.
      error: of labels, how many % are wrong; None for other data.
      seconds: of training, in all.
      results: the runs.
    """

    label: str
    data: str
    unit: str
    seeds: tuple[int, ...]
    folds: tuple[int, ...]
    number: Number
    error: Number | None
    seconds: float
    results: tuple[Result, ...]


def read(words: Sequence[str]) -> tuple[list[Result], list[str]]:
    """The finished runs that words name, and notes on what was left out.

    Args:
      words: run folders, folders of run folders, or models' names for their newest runs.

    Raises:
      RunError: a word names none of these, or no run is finished.
    """
    results: list[Result] = []
    notes: list[str] = []
    for run in dict.fromkeys(run for word in words for run in _runs(word, notes)):
        try:
            numbers = json.loads(run.results.read_text("utf-8"))
            result = Result(run, *run.name_and_recipe(), numbers)
            assert result.space and math.isfinite(_judged(numbers)[0])
            results.append(result)
        except FileNotFoundError:
            notes.append(f"{run.folder} is not finished and is left out")
        except (AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            notes.append(f"{run.folder} is left out: its results.json has no number ({error!r})")
    if not results:
        raise RunError(f"none of {', '.join(words)} is a finished run. {'; '.join(notes)}".strip())
    return results, notes


def _runs(word: str, notes: list[str]) -> Iterator[Run]:
    folder = Path(word)
    if (folder / "config.json").exists() or not folder.exists():
        yield find(word)
        return
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    found = [run for run in map(Run, inside) if run.config.exists()]
    if not found:
        notes.append(f"{folder} holds no run and is left out")
    yield from found


def rows(results: Sequence[Result], mixed: bool = False) -> list[Row]:
    """A row for runs that differ in their seed and fold only, the best first.

    Args:
      results: finished runs.
      mixed: whether they may be of several data sets and units.

    Raises:
      ValueError: they are, and may not; or runs of one row were trained on other data.
    """
    spaces = list(dict.fromkeys(result.space for result in results))
    if len(spaces) > 1 and not mixed:
        first, other = (" in ".join((data, unit)) for data, unit in spaces[:2])
        raise ValueError(
            f"these numbers cannot be compared: some are of {first}, others of {other}. Name runs of "
            "one of them, or pass --mixed for a table with the data and unit in each row."
        )
    groups = _groups(results)
    for group in groups:
        _check_data(group)
    made = [_row(group, _label(group, groups)) for group in groups]
    return sorted(made, key=lambda row: (row.data, row.unit, row.number.mean))


def _groups(results):
    """Runs by their recipes; of tables also with the fields that suit the number of rows, unless that
    would put two runs of one seed and fold together.
    """
    loose: dict[str, list[Result]] = {}
    for result in results:
        loose.setdefault(_key(result, _FREE | (_SIZED if _fold(result) else set())), []).append(
            result
        )
    groups: dict[str, list[Result]] = {}
    for key, members in loose.items():
        places = {(result.recipe.seed, result.recipe.data.fold) for result in members}
        for result in members:
            strict = _key(result, _FREE) if len(places) < len(members) else key
            groups.setdefault(strict, []).append(result)
    return list(groups.values())


def _fold(result):
    """The fold of a table, as a tuple; () for other data."""
    return (result.recipe.data.fold,) if ", fold " in result.numbers["data"] else ()


def _key(result, without):
    fields = to_json(result.recipe)
    fields["data"] = {k: v for k, v in fields["data"].items() if f"data.{k}" not in without}
    kept = {name: value for name, value in fields.items() if name not in without}
    return json.dumps([result.name, result.space, kept], sort_keys=True, default=str)


def _check_data(group):
    """Refuses runs of one recipe and fold whose data differ, and runs that are there twice."""
    digests: dict[Any, Result] = {}
    seen: dict[Any, Result] = {}
    for result in group:
        fold = _fold(result)
        first = digests.setdefault(fold, result)
        if (
            None not in (first.run.digest, result.run.digest)
            and first.run.digest != result.run.digest
        ):
            raise ValueError(
                f"{first.run.folder} and {result.run.folder} have one recipe, but were trained on "
                "different data: name one of them."
            )
        twin = seen.setdefault((result.recipe.seed, fold), result)
        if twin is not result:
            raise ValueError(
                f"{twin.run.folder} and {result.run.folder} have one recipe, seed and fold, so they "
                "are one result: name one of them."
            )


def _label(group, groups):
    """The model's name, and what its recipe changes of the first row of that model."""
    name, recipe = group[0].name, group[0].recipe
    alike = [other[0] for other in groups if other[0].name == name]
    first = next(other for other in alike if other.space == group[0].space)
    free = _FREE | (_SIZED if _fold(group[0]) else set())
    changed = {
        field: new
        for field, (_, new) in differences(first.recipe, recipe).items()
        if field not in free
    }
    return " ".join([name, *(f"{field}={new}" for field, new in changed.items())])


def _row(group, label):
    numbers = [result.numbers for result in group]
    error = None
    if all(each.get("error") is not None for each in numbers):
        pairs = [(each["error"], each.get("error_spread")) for each in numbers]
        error = _number(group, pairs)
    data, unit = group[0].space
    return Row(
        label,
        data,
        unit,
        seeds=tuple(sorted({result.recipe.seed for result in group})),
        folds=tuple(sorted({fold for result in group for fold in _fold(result)})),
        number=_number(group, [_judged(each) for each in numbers]),
        error=error,
        seconds=math.fsum(each.get("seconds") or 0 for each in numbers),
        results=tuple(group),
    )


def _judged(numbers):
    """(the number of a run, its error over examples)."""
    name = "watched" if numbers.get("knows") == "none" else "nats"
    return numbers[name], numbers.get("standard_error")


def _number(group, pairs):
    values = np.array([value for value, _ in pairs], np.float64)
    squares: dict[Any, list[float]] = {}  # by fold: the test examples of a fold are the same
    for result, (_, error) in zip(group, pairs, strict=True):
        squares.setdefault(_fold(result), []).append(math.nan if error is None else error**2)
    over_examples = math.sqrt(sum(np.mean(each) for each in squares.values())) / len(squares)
    over_runs = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return Number(float(values.mean()), float(over_runs), over_examples)


def markdown(table: Sequence[Row]) -> str:
    """The table in Markdown, below a line with the data and unit if all rows share them."""
    spaces = {(row.data, row.unit) for row in table}
    mixed, errors = len(spaces) > 1, any(row.error for row in table)
    unit = "value" if mixed else table[0].unit
    head = ["model", "runs", unit, "+- over runs", "+- over examples"]
    head += ["% wrong", "+- over runs", "+- over examples"] if errors else []
    head = [*(["data", "unit"] if mixed else []), *head, "training"]
    data = table[0].data
    lines = [] if mixed else [data if "test split" in data else f"{data}, test split", ""]
    lines += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in table:
        runs = f"{len(row.seeds)} seed{'s' * (len(row.seeds) > 1)}"
        runs += f", {len(row.folds)} fold{'s' * (len(row.folds) > 1)}" if row.folds else ""
        digits = 2 if "/example" in row.unit else 4
        cells = [row.label, runs, *_shown(row.number, digits)]
        cells += ["", "", ""] if errors and not row.error else []
        cells += _shown(row.error, 2) if row.error else []
        cells = [*([row.data, row.unit] if mixed else []), *cells, f"{row.seconds:,.0f} s"]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _shown(number, digits):
    return ["" if math.isnan(value) else f"{value:.{digits}f}" for value in number]


def csv_text(table: Sequence[Row]) -> str:
    """The table as a .csv with all digits, a line of names first."""
    numbers = ("mean", "over_runs", "over_examples")
    names = ["model", "data", "unit", "seeds", "folds", *numbers]
    names += [*(f"error_{name}" for name in numbers), "seconds", "runs"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for row in table:
        cells: list[Any] = [row.label, row.data, row.unit]
        cells += [" ".join(map(str, each)) for each in (row.seeds, row.folds)]
        found = [*row.number, *(row.error or (math.nan,) * 3)]
        cells += ["" if math.isnan(value) else repr(value) for value in found]
        folders = " ".join(str(result.run.folder) for result in row.results)
        writer.writerow([*cells, row.seconds, folders])
    return out.getvalue()
