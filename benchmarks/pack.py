"""`python -m benchmarks.pack RUN NAME`: the weights of a finished run as pretrained/NAME, with a card.

Weights are stored as float16 where that costs less than 0.01 nats on the validation split, and as
float32 otherwise. The folder keeps what the commands need: the recipe, the numbers, 16 test examples.
`python -m benchmarks.pack pretrained/NAME NAME` writes the card of packed weights again.
"""

import dataclasses
import json
import re
import tempfile
from pathlib import Path
from typing import Annotated, Any

import tyro

import zoo
from benchmarks.box.cards import ARTEFACTS, INDEX, card, index_of
from train.data import Dataset, Split
from train.engine.evaluation import evaluate
from train.engine.run_folder import load_data
from train.kinds import kind_of
from train.runs.folder import Run, RunError
from zoo.cli import called, command
from zoo.core.checkpoint import FILE
from zoo.core.model_files import find_run
from zoo.foundation.files import to_json, write_whole
from zoo.foundation.packages import BOX

LARGEST = 4_000_000  # bytes of one file of weights
WHOLE = 20_000_000  # bytes of all
COST = 0.01  # nats that rounding may cost
KEPT = 16  # test examples
CONFIG, RESULTS = "config.json", "results.json"


@dataclasses.dataclass(frozen=True)
class Options:
    """Puts the weights of a finished run among those that come with the project, and writes a card."""

    run: Annotated[str, tyro.conf.Positional]
    """A run folder, or a model's name: its newest run."""
    name: Annotated[str, tyro.conf.Positional]
    """The weights are then called pretrained/NAME."""
    box: Path = BOX
    """The folder of all weights."""
    cards: Path = Path("docs/models")
    """The folder of the cards."""
    seed: int = 0
    """Seed of the samples on the card."""

    def check(self) -> None:
        """Raises ValueError for a name that is none."""
        if not re.fullmatch(r"[a-z0-9_]+", self.name):
            raise ValueError(f"NAME has small letters, digits and _ only; got {self.name!r}.")


def few(dataset: Dataset, num: int = KEPT) -> Dataset:
    """The data with the first `num` test examples alone."""
    x, context = dataset.test
    test = Split(x[:num], None if context is None else context[:num])
    corners = None if dataset.corners is None else dataset.corners[:num]
    return dataclasses.replace(dataset, test=test, pairs=dataset.pairs[:num], corners=corners)


def public(command_line: str) -> str:
    """A command without what means nothing elsewhere: folders, and that it continued a run.

    Example:
      >>> public("python -m train made --run-dir /tmp/made --steps 9 --data.path /data/own.npz")
      'python -m train made --steps 9 --data.path own.npz'
      >>> public("python -m train.reproduce vae --manual-dir /data/mnist --runs /tmp/runs")
      'python -m train.reproduce vae'
      >>> public("python -m train made --resume --seed 3")
      'python -m train made --seed 3'
    """
    folders = r" --(run-dir|samples|runs|(data\.)?(manual|data)-dir)[ =]\S+"
    kept = re.sub(rf"{folders}| --resume\b", "", command_line)
    return re.sub(r"( --data\.[a-z-]+[ =])\S*/", r"\1", kept)


def rounding(
    run: Run, model: zoo.Generative, variables: zoo.Variables, file: Path, dataset: Dataset
) -> dict[str, Any]:
    """Writes the weights to a file, rounded where that costs little, and returns what it cost: the
    nats of the validation split, exact and rounded (of a model without a likelihood, what it is
    watched by).
    """
    _, recipe = run.name_and_recipe()
    size = kind_of(model).evaluation_batch(recipe.batch_size)

    def judged(weights):
        return evaluate(model, weights, dataset.valid, size, draws=recipe.draws)

    zoo.save(file, model, variables, rounded=True)
    exact, rounded = judged(variables), judged(zoo.load(file)[1])
    cost = rounded.judged - exact.judged
    halved = abs(cost) < COST
    if not halved:
        zoo.save(file, model, variables)
    facts = {"exact": exact.judged, "rounded": rounded.judged, "cost": cost, "unit": exact.unit}
    return facts | {"stored": "float16" if halved else "float32", "examples": len(dataset.valid.x)}


def check_sizes(file: Path, name: str, box: Path) -> None:
    """Raises ValueError if the weights are too large to come with the project."""
    size = file.stat().st_size
    if size > LARGEST:
        raise ValueError(
            f"the weights take {size / 1e6:.1f} MB, and {LARGEST / 1e6:.0f} MB are the most: train a "
            "smaller model."
        )
    others = sum(each.stat().st_size for each in box.glob(f"*/{FILE}") if each.parent.name != name)
    if size + others > WHOLE:
        raise ValueError(
            f"with these {size / 1e6:.1f} MB all weights would take {(size + others) / 1e6:.1f} MB, "
            f"and {WHOLE / 1e6:.0f} MB are the most: take out others in {box} first."
        )


def pack(options: Options) -> list[str]:
    """Packs the run; returns the lines to print. Weights that are packed already stay as they are,
    and their card is written again.

    Raises:
      RunError: the run is not finished.
      ValueError: its weights are too large; nothing is written then.
    """
    options.check()
    run = Run(find_run(options.run).parent)
    if not run.results.is_file():
        raise RunError(f"{run.folder} is not finished (no results.json): finish it by --resume.")
    folder = options.box / options.name
    if run.folder.resolve() == folder.resolve():
        return write_card(options, *card(options.name, folder, options.seed))
    results = json.loads(run.results.read_text("utf-8"))
    _, recipe = run.name_and_recipe()
    model, variables = zoo.load(run.model)
    dataset = load_data(run, recipe)
    with tempfile.TemporaryDirectory() as new:
        packed = Path(new)
        cost = rounding(run, model, variables, packed / FILE, dataset)
        check_sizes(packed / FILE, options.name, options.box)
        kind_of(model).keep(few(dataset), packed)
        results |= {"command": public(results["command"]), "rounding": cost}
        (packed / RESULTS).write_text(to_json(results, 2) + "\n", "utf-8")
        config = json.loads(run.config.read_text("utf-8"))
        (packed / CONFIG).write_text(public_config(config), "utf-8")
        text, artefacts = card(options.name, packed, options.seed)
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(packed.iterdir()):
            if file.name in (FILE, RESULTS, CONFIG) or file.stem == "test":
                write_whole(folder / file.name, file.read_bytes())
    return [
        f"weights: {folder / FILE}, {(folder / FILE).stat().st_size / 1e6:.2f} MB, {cost['stored']}; "
        f"rounding to float16 costs {cost['cost']:+.1e} of {cost['exact']:.4g} nats per {cost['unit']} "
        f"({cost['examples']:,} validation examples)",
        *write_card(options, text, artefacts),
    ]


def write_card(options: Options, text: str, artefacts: dict[str, bytes]) -> list[str]:
    """Writes a card, the files beside it, and the list of all cards; returns the line to print."""
    options.cards.mkdir(parents=True, exist_ok=True)
    for suffix in ARTEFACTS:  # of an earlier card
        (options.cards / f"{options.name}{suffix}").unlink(missing_ok=True)
    for suffix, content in artefacts.items():
        write_whole(options.cards / f"{options.name}{suffix}", content)
    page = options.cards / f"{options.name}.md"
    write_whole(page, text.encode())
    write_whole(options.cards / INDEX, index_of(options.cards, options.box).encode())
    return [f"card: {page}"]


def public_config(config: dict[str, Any]) -> str:
    """The recipe as JSON, without the folders in which its data and other runs lay."""
    recipe, data = config["recipe"], config["recipe"]["data"]
    places = {name: value and Path(value).name for name, value in data.items() if name == "path"}
    places |= {name: None for name in ("data_dir", "manual_dir") if name in data}
    runs = {name: Path(recipe[name]).name for name in ("start", "encoder") if recipe.get(name)}
    return to_json(config | {"recipe": recipe | {"data": data | places} | runs}, 2) + "\n"


def main(options: Options) -> None:
    """Prints where the weights and the card lie."""
    for line in pack(options):
        print(line)


if __name__ == "__main__":
    command(main, Options, called("benchmarks.pack"))
