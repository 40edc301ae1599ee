"""What a finished training reports: the test numbers, how they came about, and where everything
lies.
"""

import json
import math
from typing import Any

import zoo
from train.data import Dataset
from train.engine.calibrate import calibrated
from train.engine.devices import hardware, share
from train.engine.ensembles import evaluation, report_snapshots
from train.engine.evaluation import evaluate, example_scores, keep_scores
from train.kinds import kind_of
from train.recipe.checks import bernoulli
from train.recipe.presets import RECIPES
from train.recipe.recipe import Recipe
from train.runs.curves import curves
from train.runs.diagnosis import plainly
from train.runs.folder import Run, RunError, write
from zoo.foundation.files import to_json

SHORT = 10  # of the examples of the model's recipe, one in so many at least


def finish(run: Run, recipe: Recipe, dataset: Dataset, seconds: float, command: str) -> str:
    """Evaluates the best model on the test split once, writes results.json and curves.png, and
    returns the report.
    """
    model, variables = zoo.load(run.model)
    kind = kind_of(model)
    if recipe.calibrate:
        model = calibrated(recipe, model, variables, dataset.valid)
        zoo.save(run.model, model, variables)
    scores = example_scores(model, variables, dataset.test, recipe.batch_size, draws=recipe.draws)
    test = evaluation(scores, model, dataset.test)
    keep_scores(run.folder, scores.nats, model, dataset.test.x)
    results: dict[str, Any] = {
        "model": type(model).__name__,
        "data": dataset.description,
        "split": "test",
        **test.numbers(),
    }
    lines = [dataset.description, f"test: {test}{kind.compare(model, test.nats, dataset.test)}"]
    if recipe.calibrate:
        results["temperature"] = temperature = bernoulli(model).temperature
        lines.append(f"temperature {temperature}, fitted on the validation split")
    results |= kind.facts(model, test.nats, dataset.test)
    if (members := len(model.members())) > 1:
        mixture = evaluate(model, variables, dataset.test, recipe.batch_size, ensemble=True)
        results["ensemble"] = {"members": members, **mixture.numbers()}
        lines.append(
            f"test, ensemble of {members}: "
            f"{mixture}{kind.compare(model, mixture.nats, dataset.test)}"
        )
    if recipe.snapshots:
        results["snapshots"], line = report_snapshots(run, recipe, dataset)
        lines.append(line)
    steps = max(record["step"] for record in run.records())
    used = hardware(share(recipe.part_size))
    lines.append(f"trained {steps:,} steps in {duration(seconds)} on {used}")
    if said := too_short(run, steps):
        results["short"] = said
        lines.append(f"note: {said}")
    if said := plainly(run.records()):
        lines.append(f"curves: {said}")
    try:
        curves(run.records(), run.curves)
    except ImportError:
        lines.append(
            "no learning curves: they need matplotlib (pip install 'autoregressive-zoo[plots]')"
        )
    kind.keep(dataset, run.folder)
    results |= {
        "steps": steps,
        "seed": recipe.seed,
        "seconds": seconds,
        "hardware": used,
        "command": command,
    }
    write(run.results, to_json(results, 2) + "\n")
    files = {
        "model": run.model,
        "results": run.results,
        "metrics": run.metrics,
        "curves": run.curves,
    }
    return "\n".join(
        [*lines, *(f"{name}: {path}" for name, path in files.items() if path.exists())]
    )


def too_short(run: Run, steps: int) -> str | None:
    """A line that says that a training was too short for its samples to mean anything: it saw less
    than a tenth of the examples of the model's own recipe. None if it was not, or there is none.
    """
    name, recipe = run.name_and_recipe()
    usual = RECIPES.get(name, {}).get("cpu")
    if usual is None or steps * recipe.batch_size * SHORT >= usual.steps * usual.batch_size:
        return None
    return (
        f"this training saw {steps * recipe.batch_size:,} examples, the recipe of {name} "
        f"{usual.steps * usual.batch_size:,}: its samples say little about the model yet."
    )


def finished(run: Run) -> str | None:
    """In words, that the run is finished; None if it is not."""
    if not run.results.exists():
        return None
    try:
        results = json.loads(run.results.read_text(encoding="utf-8"))
        figures = f"{results['steps']:,} steps, test {_figure(results)}"
        return f"{run.folder} is finished: {figures} ({run.results})."
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise RunError(
            f"{run.results} cannot be read ({error!r}); delete it, and the test is scored again."
        ) from None


def _figure(results):
    """The test number of results.json, in words."""
    if results.get("knows") == "none":
        return f"{results['watched_name']} {results['watched']:.4g} (no likelihood)"
    # JSON has no other way to say that a number is none
    nats = math.nan if results["nats"] is None else results["nats"]
    return f"{'<= ' if results.get('knows') == 'bound' else ''}{nats:.4g} nats"


def duration(seconds: float) -> str:
    """Seconds as "4 min 05 s"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
