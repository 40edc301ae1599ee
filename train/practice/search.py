"""A search over recipes: short trainings, the bad ones stopped early, all kept in an SQLite file.

Trial k depends on the seed, k and the outcome of those before it, so an interrupted search goes on
as if it had not been interrupted. J. Bergstra, Y. Bengio, Random search for hyper-parameter
optimization, JMLR 2012; J. Bergstra et al., Algorithms for hyper-parameter optimization (TPE),
NeurIPS 2011.
"""

import itertools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from train.data import Dataset
from train.data.dataset import generator
from train.engine.fitting import MemoryKeeper
from train.engine.loop import NonFiniteError, train
from train.practice.space import Dimension
from train.recipe.recipe import Recipe, differences, from_json, to_json
from zoo.foundation.files import to_json as as_text

How = Literal["random", "grid", "tpe"]
FEW = 4  # trials that are trained to the end before others are compared with them
BEFORE = 5  # the first fifth of a trial is never stopped
Space = tuple[Dimension, ...]


class SearchError(ValueError):
    """A search that cannot be made or continued."""


class Stage(NamedTuple):
    """One search of a file; a fine one lies beside its coarse one.

    Attributes:
      name: `coarse` or `fine`.
      space: what varies.
      how: how the points are chosen.
      trials: how many there will be in all.
      points: values of each range of a grid.
    """

    name: str
    space: Space
    how: How
    trials: int
    points: int


class Outcome(NamedTuple):
    """A trial that is over.

    Attributes:
      number: its place, from 0.
      values: the value of each dimension, as it was tried.
      nats: the best validation nats; infinite where the trial was stopped.
      last: the last validation nats; None where there were none.
    """

    number: int
    values: dict[str, Any]
    nats: float
    last: float | None

    @property
    def stopped(self) -> bool:
        return math.isinf(self.nats)


def need_optuna() -> Any:
    """The package optuna.

    Raises:
      ImportError: it is not installed; the message says which extra has it.
    """
    try:
        import optuna
    except ImportError:
        raise ImportError(
            "a search needs optuna: pip install 'autoregressive-zoo[search]'."
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class Study:
    """The trials of a stage in an SQLite file.

    Args:
      file: the file; it is made if it is missing.
      stage: what is searched.
      recipe: the recipe whose fields vary, without their values.
      digest: of the data.

    Raises:
      SearchError: the file holds another search under that name, or is none.
    """

    def __init__(self, file: Path, stage: Stage, recipe: Recipe, digest: str):
        optuna = need_optuna()
        self.optuna, self.stage, self.recipe = optuna, stage, recipe
        pruner = optuna.pruners.MedianPruner(FEW, n_warmup_steps=recipe.steps // BEFORE)
        try:
            self.storage = optuna.storages.RDBStorage(f"sqlite:///{file.absolute()}")
            self.study = optuna.create_study(
                study_name=stage.name, storage=self.storage, pruner=pruner, load_if_exists=True
            )
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("sqlalchemy", "optuna", "alembic"):
                raise
            raise SearchError(
                f"{file} cannot be read as a search: move it away, or pass another --folder."
            ) from None
        identity = {
            "space": " ".join(map(str, stage.space)),
            "how": stage.how,
            "points": stage.points,
            "recipe": to_json(recipe),
            "data": digest,
        }
        identity = json.loads(as_text(identity))
        stored = self.study.user_attrs.get("identity")
        if stored is None:
            self.study.set_user_attr("identity", identity)
        elif said := _other(stored, identity, recipe):
            raise SearchError(
                f"{file} holds another search: {said}; give that, or another --folder."
            )

    def close(self) -> None:
        """Lets go of the file."""
        self.storage.remove_session()
        self.storage.engine.dispose()

    def outcomes(self) -> list[Outcome]:
        """The trials that are over."""
        states = self.optuna.trial.TrialState
        over = self.study.get_trials(states=(states.COMPLETE, states.PRUNED), deepcopy=False)
        return [_outcome(self.stage.space, number, trial) for number, trial in enumerate(over)]

    @property
    def best(self) -> Outcome | None:
        """The trial with the lowest nats; None before one was trained to the end."""
        whole = [each for each in self.outcomes() if not each.stopped]
        return min(whole, key=lambda each: each.nats) if whole else None

    def run(self, objective: Callable[[dict[str, Any], Any], float]) -> Iterator[Outcome]:
        """Makes the trials that are missing, and yields each when it is over.

        Args:
          objective: (the value of each dimension, the trial of optuna) -> validation nats; raises
            `optuna.TrialPruned` or NonFiniteError for a bad trial.
        """
        states = self.optuna.trial.TrialState
        for lost in self.study.get_trials(states=(states.RUNNING, states.WAITING), deepcopy=False):
            self.study.tell(lost.number, state=states.FAIL)  # their process was ended
        while (number := len(self.outcomes())) < self.total:
            trial = self._ask(number)
            try:
                nats = objective(_values(self.stage.space, trial.params), trial)
            except (self.optuna.TrialPruned, NonFiniteError):
                self.study.tell(trial, state=states.PRUNED)
            except BaseException:
                self.study.tell(trial, state=states.FAIL)
                raise
            else:
                self.study.tell(trial, nats)
            yield self.outcomes()[-1]

    @property
    def total(self) -> int:
        """How many trials there are in the end; a grid has no more than its points."""
        if self.stage.how != "grid":
            return self.stage.trials
        return min(self.stage.trials, len(grid(self.stage)))

    def importances(self) -> dict[str, float]:
        """How much of the spread of nats each dimension explains (fANOVA); {} if too few trials
        can tell.
        """
        whole = [each for each in self.outcomes() if not each.stopped]
        if len(whole) < FEW or len({each.nats for each in whole}) < 2:
            return {}
        evaluator = self.optuna.importance.FanovaImportanceEvaluator(seed=0)
        found = self.optuna.importance.get_param_importances(self.study, evaluator=evaluator)
        return {name: share for name, share in found.items() if math.isfinite(share)}

    def _ask(self, number):
        """The trial with that number; its sampler depends on the seed and the number alone."""
        seed = int(generator(self.recipe.seed, number).integers(2**31))
        samplers = self.optuna.samplers
        if self.stage.how == "tpe":
            self.study.sampler = samplers.TPESampler(n_startup_trials=FEW + 1, seed=seed)
        else:
            self.study.sampler = samplers.RandomSampler(seed=seed)
        if self.stage.how == "grid":
            self.study.enqueue_trial(grid(self.stage)[number])
        kinds = self.optuna.distributions
        return self.study.ask({each.name: _distribution(kinds, each) for each in self.stage.space})


def grid(stage: Stage) -> list[dict[str, Any]]:
    """The points of a grid, in an order in which any first part of them is spread evenly."""
    columns = [each.grid(stage.points) for each in stage.space]
    names = [each.name for each in stage.space]
    points = [dict(zip(names, point, strict=True)) for point in itertools.product(*columns)]
    return [points[i] for i in generator(0, len(points)).permutation(len(points))]


def narrowed(space: Space, best: Outcome) -> Space:
    """The space of the fine search around the best trial."""
    return tuple(each.narrowed(best.values[each.name]) for each in space)


def at_edge(space: Space, best: Outcome) -> list[str]:
    """The dimensions whose best value lies in the outer twentieth of its range."""
    ranges = [each for each in space if not each.choices]
    return [each.name for each in ranges if not 0.05 < each.place(best.values[each.name]) < 0.95]


def trial_nats(recipe: Recipe, dataset: Dataset, trial: Any) -> float:
    """Trains a trial, and returns its best validation nats.

    Raises:
      optuna.TrialPruned: half of the others were better at the same step.
      NonFiniteError: the loss is no number.
    """
    keeper = _TrialKeeper(trial)
    train(recipe, dataset, keeper)
    assert keeper.progress.best is not None
    return keeper.progress.best


class _TrialKeeper(MemoryKeeper):
    """Reports every validation to the trial, which may stop it."""

    most_lines: int | None = 1

    def __init__(self, trial: Any) -> None:
        super().__init__()
        self.trial = trial

    def record(self, record: dict[str, Any]) -> None:
        super().record(record)
        if "valid_nats" in record:
            self.trial.report(record["valid_nats"], record["step"])
            if self.trial.should_prune():
                raise need_optuna().TrialPruned


def _distribution(kinds, dimension):
    if dimension.choices:
        return kinds.CategoricalDistribution(dimension.choices)
    made = kinds.IntDistribution if dimension.whole else kinds.FloatDistribution
    return made(dimension.low, dimension.high, log=dimension.log)


def _values(space, params):
    return {each.name: each.rounded(params[each.name]) for each in space}


def _outcome(space, number, trial):
    reported = trial.intermediate_values
    last = reported[max(reported)] if reported else None
    whole = trial.state.name == "COMPLETE"
    return Outcome(number, _values(space, trial.params), trial.value if whole else math.inf, last)


def _other(stored, identity, recipe):
    """How a stored search differs from this one, in words; empty if it does not."""
    for name in ("space", "how", "points"):
        if stored[name] != identity[name]:
            return f"its {name} is {stored[name]}, here it is {identity[name]}"
    if changed := differences(from_json(stored["recipe"]), recipe):
        field, (old, new) = next(iter(changed.items()))
        return f"its {field} is {old!r}, here it is {new!r}"
    return "" if stored["data"] == identity["data"] else "it was made on other data"
