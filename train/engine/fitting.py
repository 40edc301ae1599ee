"""Training and evaluation on arrays: the same loop as `python -m train`, kept in memory."""

import dataclasses
import difflib
import re
import signal
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import zoo
from train.data import DataError, Dataset
from train.data.dataset import content_keys
from train.data.grouping import frequent_note
from train.data.in_memory import Part, levels_as_floats, validation_parts
from train.engine.calibrate import calibrated
from train.engine.checkpoint import Progress
from train.engine.evaluation import check_draws, check_ensemble
from train.engine.evaluation import evaluate as evaluate_split
from train.engine.figures import Evaluation
from train.engine.loop import NonFiniteError, train
from train.engine.optimisers import schedule
from train.engine.prepare import (
    check_trainable,
    chosen,
    fitted,
    for_model,
    shape_notes,
    shaped,
    with_batch_of,
)
from train.engine.step import State
from train.kinds import kind_of
from train.recipe.recipe import Recipe
from train.recipe.wording import in_python
from train.runs.history import History
from zoo.foundation.arguments import checked
from zoo.heads import why_outside


class Fitted(NamedTuple):
    """What `fit` returns.

    Attributes:
      model: the model that was trained, in the shape of the data.
      variables: its averaged weights with the best validation nats.
      history: what the training reported.

    Example:
      >>> import numpy as np, train, zoo
      >>> bits = np.random.RandomState(0).randint(0, 2, (60, 2, 3))
      >>> fitted = train.fit(zoo.FVSBN(), bits, steps=3, batch_size=20)
      >>> fitted.model.site_shape
      (2, 3)
    """

    model: zoo.Generative
    variables: zoo.Variables
    history: History


class MemoryKeeper:
    """Keeps metrics and the best model in memory, and no checkpoint; see `loop.Keeper`."""

    resumes = False
    most_lines: int | None = 20  # so that a notebook shows the model, not the log

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.variables: zoo.Variables | None = None
        self.snapshots: list[zoo.Variables] = []
        self.step, self.progress = 0, Progress()

    def restore(self, initial: State) -> tuple[State, Progress]:
        self.keep(None, initial.ema)
        return initial, self.progress

    def record(self, record: dict[str, Any]) -> None:
        self.records.append(record)

    def keep(self, model: zoo.Generative | None, variables: zoo.Variables) -> None:
        self.variables = _copy(variables)

    def snapshot(self, number: int, model: zoo.Generative, variables: zoo.Variables) -> None:
        self.snapshots.append(_copy(variables))

    def save(self, state: State, progress: Progress) -> None:
        self.step = int(state.step)

    def kept(self, progress: Progress) -> str:
        which = "last" if progress.best is None else "best"
        return f"The {which} model so far is the `result` of this error."

    def fitted(self, recipe: Recipe) -> Fitted:
        """The outcome so far; the steps since the last line of metrics get a line, too."""
        records = list(self.records)
        if window := self.progress.window:
            nats, norm = np.mean(window, axis=0)
            rate = float(np.asarray(schedule(recipe)(self.step - 1)))
            loss = f"train_{recipe.model.loss_unit}"
            line = {"step": self.step, loss: float(nats), "gradient_norm": float(norm)}
            records.append(line | {"learning_rate": rate, "seconds": self.progress.seconds})
        variables, *snapshots = jax.tree.map(jnp.asarray, [self.variables, *self.snapshots])
        return Fitted(recipe.model, variables, History(tuple(records), tuple(snapshots)))


def _copy(variables):
    """Arrays that stay: the next update takes the memory of its state."""
    return jax.tree.map(lambda leaf: np.array(leaf), variables)


@checked()
def fit(
    model: zoo.Generative,
    x: Any,
    *,
    valid: Any = None,
    context: Any = None,
    key: Any = None,
    **fields: Any,
) -> Fitted:
    """Trains a model on arrays, with the loop of `python -m train`, and without a run folder.

    The same data, recipe and seed give the same weights as the command, bit for bit. `site_shape`
    and head of the model follow the data where they are the defaults of its class: bits get a
    Bernoulli head, pictures of 8 bits and other levels a categorical one (a mixture of logistics
    where the model prefers it), real numbers a mixture of Gaussians on standardised sites.

    Ctrl-C ends the training after the current step, with a warning; the best weights so far are
    returned.

    Args:
      model: the model; it is not changed.
      x: examples [N, *site_shape] (or [N, height, width, 3]): levels 0..K-1, bool, or real numbers.
        For a model of text a string or one line of tokens [length], for a model of sound waves in
        [-1, 1] [N, samples] or a list of them, for sequences made from a context tokens [N, length].
      valid: validation data: examples like `x`, or a pair (examples, context), or the fraction of
        `x` that is held out. By default a tenth is held out: random rows, chosen by the
        seed (identical rows stay together unless they are frequent); for a text, its end.
      context: a row for each example: labels [N], or sources or images.
      key: a `jax.random.key`, which is consumed: `jax.random.key(s)` is seed=s. Default: seed 0.
      **fields: fields of `train.Recipe`, such as steps, batch_size, learning_rate and seed. By
        default as many examples as there are make a batch if they are fewer than a usual batch.

    Returns:
      (model, variables, history): the model in the shape of the data, its averaged weights with the
      best validation nats, and a `History`.

    Raises:
      ValueError: the model cannot describe the data, or a field cannot be; one line says what to
        do. TypeError: `fields` has a name that no recipe has. NonFiniteError: the loss or a weight
        is no longer a number; its `result` holds what was trained so far.

    Example:
      >>> import numpy as np, train, zoo
      >>> x = np.tile([[0, 1, 1], [1, 0, 1]], (50, 1))
      >>> model, variables, history = train.fit(zoo.MADE(hidden=(8,)), x, steps=30, eval_every=10)
      >>> model.site_shape, model.head
      ((3,), Bernoulli(centre=0.0, temperature=1.0))
      >>> history.valid_steps.tolist()
      [10, 20, 30]
    """
    _check_names(fields)
    if key is not None:
        if "seed" in fields:
            raise ValueError("fit takes key or seed, and got both: drop one.")
        fields["seed"] = seed_of(key)
    with in_python():
        recipe, dataset = _prepared(model, x, valid, context, fields)
        keeper = MemoryKeeper()
        try:
            train(recipe, dataset, keeper)
        except KeyboardInterrupt as stop:
            if keeper.variables is None or signal.SIGTERM in stop.args:
                raise
            print(
                f"warning: interrupted after {keeper.step:,} of {recipe.steps:,} steps; these are "
                "the best weights so far.",
                file=sys.stderr,
            )
        except NonFiniteError as error:
            error.result = keeper.fitted(recipe)
            raise
        result = keeper.fitted(recipe)
        if recipe.calibrate:
            at_best = calibrated(recipe, result.model, result.variables, dataset.valid)
            result = result._replace(model=at_best)
        return result


@checked(batch_size=1)
def evaluate(
    model: zoo.Generative,
    variables: zoo.Variables,
    x: Any,
    context: Any = None,
    *,
    batch_size: int | None = None,
    ensemble: bool = False,
    draws: int | None = None,
) -> Evaluation:
    """The exact likelihood of examples (the mean of -log p(x | context) in nats), a bound of it, or
    no likelihood at all, over all devices; the result says which.

    Args:
      model: a trained model, as `fit` and `zoo.load` return it.
      variables: its variables.
      x: examples as `fit` takes them. A text is scored in windows of the model's length, and what
        does not fill a window is left out.
      context: a row for each example; None for a model without context.
      batch_size: examples at a time; it changes the speed only. Default: 500, of sounds 4.
      ensemble: score the mixture of the model's members (masks, orderings) instead.
      draws: of each example, for a bound; more are tighter.

    Returns:
      An `Evaluation`: nats and their standard error, bits per dimension, how many examples (or
      tokens, samples) were scored, and the unit.

    Raises:
      ValueError: the model cannot describe the examples; one line says what to do.

    Example:
      >>> import jax, numpy as np, train, zoo
      >>> model, x = zoo.FVSBN((4,)), np.zeros((10, 4), np.uint8)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> result = train.evaluate(model, variables, x)
      >>> result.num, result.unit
      (10, 'example')
    """
    with in_python():
        kind = kind_of(model)
        (split,), facts = kind.read(model, [Part("x", x, context)])
        dataset = Dataset("x", "x", split, split, split, kind=kind.name, **facts)
        examples = _prepared_test(model, dataset)
        zoo.check_context(model, examples.context)
        check_draws(model, draws)
        if ensemble:
            check_ensemble(model, "ensemble")
        size = batch_size or kind.evaluation_batch(4)
        return evaluate_split(model, variables, examples, size, ensemble=ensemble, draws=draws)


def seed_of(key: jax.Array) -> int:
    """The seed that a key stands for: s if it is `jax.random.key(s)`, else 32 bits drawn with it."""
    words = np.asarray(jax.random.key_data(key)).ravel()
    seed = int(words[-1])
    plain = jax.random.key_data(jax.random.key(seed, impl=jax.random.key_impl(key)))
    if np.array_equal(words, np.asarray(plain).ravel()):
        return seed
    return int(jax.random.bits(key, dtype=np.uint32))


def _prepared_test(model, dataset):
    """The examples as a trained model reads them; its shape and head are fixed, so no advice."""
    try:
        return kind_of(model).prepare(model, dataset).test
    except DataError as error:
        reason = re.split(r"(?:: |, or )(?:pass|drop) ", str(error))[0]
        raise DataError(f"the data do not fit the trained model: {reason.rstrip('.')}.") from None


def _prepared(model, x, valid, context, fields):
    """The recipe with the model in the shape of the data, and the data as it reads them."""
    recipe, kind = Recipe(model, **fields), kind_of(model)
    fraction, validation = validation_parts(valid, context)
    splits, facts = kind.read(model, [Part("x", x, context), *validation])
    notes = levels_as_floats(splits[0].x)
    if not validation:
        if splits[0].x.ndim > 1:  # neither one text nor recordings
            notes += frequent_note(content_keys(kind.content(splits[0])), "rows")
        splits = list(kind.hold_out(splits[0], fraction, recipe.seed))
        count = len(splits[1].x)
        notes += [f"{count:,} of {count + len(splits[0].x):,} are held out for validation"]
    train, valid = splits
    dataset = Dataset("x", "x", train, valid, valid, kind=kind.name, **facts)
    given = chosen(model) | {f"recipe.{name}" for name in fields}
    stated, recipe = recipe, shaped(recipe, dataset, given)
    dataset = for_model(recipe, dataset)
    notes += shape_notes(stated, recipe)
    recipe = fitted(recipe, dataset)
    if train.x.dtype != object and (misfit := why_outside(recipe.model.head, dataset.train.x)):
        raise DataError(f"x is outside the model's support: {misfit}.")
    before, recipe = recipe, with_batch_of(recipe, dataset, given)
    if recipe != before:
        notes += [f"batches of {recipe.batch_size}, as there are no more examples"]
    check_trainable(recipe, dataset)
    for note in notes:
        print(f"note: {note}.", file=sys.stderr)
    return recipe, dataset


def _check_names(fields):
    known = {field.name for field in dataclasses.fields(Recipe)} - {"model", "data", "conditional"}
    if odd := [name for name in fields if name not in known]:
        near = difflib.get_close_matches(odd[0], sorted(known | {"valid", "context", "key"}), n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"It takes {', '.join(sorted(known))}."
        raise TypeError(f"train.fit has no argument {odd[0]!r}. {hint}")
