"""A recipe: everything that a training's result depends on, in one frozen value."""

import dataclasses
import functools
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import zoo
from train.data import Data
from train.recipe.schedules import FIELDS, Schedule, check_fields, cycle_ends, fields_of
from zoo.foundation.arguments import convert_fields
from zoo.foundation.limits import MOST

PLACES = (
    "path",
    "data_dir",
    "manual_dir",
)  # fields of the data that say where they lie, and not what they are
WAYS = ("parallel", "accumulate", "remat", "shard")  # how an update is computed, and not which


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The whole identity of a training: the same recipe gives the same model.

    Example:
      >>> import train, zoo
      >>> train.Recipe(zoo.FVSBN(), steps=100).learning_rate
      0.001
    """

    model: zoo.Generative
    """The model; its fields are its configuration."""
    data: Data = dataclasses.field(default_factory=Data)
    """The data."""
    conditional: bool = False
    """Whether the model is given the labels (of images that have some). Sources of pairs are always
    given.
    """
    start: str | None = None
    """A trained run (or checkpoint) whose weights the training starts from; its model has the same
    arrays.
    """
    encoder: str | None = None
    """A trained run (or checkpoint) whose encoder the training begins with, of a model that has
    one.
    """
    encoder_rate: float = 1.0
    """The encoder's learning rate, as a fraction of that of all other weights (0: it is frozen)."""
    steps: int = 22_000
    """Updates in all."""
    batch_size: int = 100
    """Examples in a batch, over all devices together."""
    learning_rate: float = 1e-3
    """Adam's learning rate at the end of the warm-up: the highest one."""
    schedule: Schedule = "cosine"
    """How the learning rate goes on after the warm-up: it stays (constant), falls along a line, half
    a cosine, in steps, exponentially or as 1 / sqrt(t) (inverse_sqrt), falls along half a cosine and
    starts over (cyclic), or rises for 3/10 of the steps and falls (one_cycle).
    """
    final_rate: float | None = None
    """The learning rate at the last step (of each cycle), as a fraction of `learning_rate`: of the
    schedules linear, cosine and cyclic (default 0), exponential (0.01) and one_cycle (4e-6).
    """
    cycles: int | None = None
    """How often a cyclic schedule falls (default 5)."""
    drop_at: tuple[float, ...] | None = None
    """Where a step schedule drops, as fractions of all steps (default 0.5 0.75)."""
    drop_factor: float | None = None
    """The factor of each drop of a step schedule (default 0.1)."""
    warmup: int = 100
    """Steps over which the learning rate rises linearly; at most a tenth of all steps (of the first
    cycle), or up to 100 in short trainings.
    """
    momentum: float = 0.9
    """Adam's decay of the mean of the gradients, in [0, 1)."""
    critic_rate: float = 1.0
    """The critic's learning rate, as a fraction of the generator's, of a model that has both."""
    clip: float = 100.0
    """Gradients with a global norm above this are scaled down to it (0: never)."""
    weight_decay: float = 0.0
    """Decoupled weight decay, as in AdamW: a step shrinks the weights by `weight_decay` times the
    learning rate.
    """
    corrected_decay: bool = False
    """Whether weight decay falls with the learning rate, in proportion, as in AdamC."""
    ema: float = 0.999
    """Decay of the running average of the weights that is evaluated, saved and sampled (0: the
    weights themselves). At step t it is at most (1 + t) / (10 + t), so that a short training is not
    dominated by its first weights. A cyclic schedule restarts it with each cycle.
    """
    snapshots: bool = False
    """Whether the averaged weights at the end of each cycle of a cyclic schedule are kept, as an
    ensemble: the last ones, as many as validate best.
    """
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What the network computes in while training; weights, their average and all evaluations are
    float32.
    """
    matmul_precision: Literal["default", "high", "highest"] = "default"
    """Precision of float32 matmuls and convolutions while training. `default` is the device's fast
    one (TF32 on a GPU, bfloat16 on a TPU), `highest` is full float32. Evaluations and samples
    always have full float32.
    """
    seed: int = 0
    """Seed of the initial weights, the order of the data and all noise."""
    eval_every: int = 0
    """Steps between evaluations on the validation split (0: once an epoch, but no more often than
    every 25 steps).
    """
    validate_ensemble: bool = False
    """Whether validation scores the mixture of the model's members (masks, orderings), and so
    chooses the weights for it.
    """
    calibrate: bool = False
    """Whether the temperature of a Bernoulli head is fitted to what validation scores, when all
    steps are done.
    """
    checkpoint_every: int = 0
    """Steps between checkpoints (0: one after every evaluation)."""
    patience: int = 0
    """Stop after this many evaluations in a row without a new best (0: never)."""
    draws: int = 100
    """Draws of each example that the bound of the test split takes, of a model that knows a bound."""
    parallel: Literal["jit", "pmap"] = "jit"
    """How the update is spread over the devices: jit over a mesh, or pmap. The results are the
    same, except for models that draw noise (masks, orderings, dropout): under pmap each device
    draws its own noise, so the noise differs.
    """
    accumulate: int = 1
    """In how many equal parts, one after the other, a batch goes through the network; their
    gradients are averaged. The update is that of the whole batch up to rounding, in less memory;
    models that draw noise in training (masks, orderings, dropout) draw other noise.
    """
    remat: bool = False
    """Whether the backward pass computes activations again instead of keeping them: it keeps what
    passes between pieces of the network, such as its blocks. The update is the same up to rounding
    and takes about one more forward pass.
    """
    shard: Literal["none", "fsdp"] = "none"
    """Whether each device keeps all weights (none), or the devices share weights, their average and
    the state of the optimiser among them, and gather the weights for each update (fsdp). The
    update is the same up to rounding.
    """

    def __post_init__(self):
        """Refuses values that no training can have."""
        convert_fields(self)
        for name in ("steps", "batch_size", "draws", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}.")
        if self.draws > MOST:
            raise ValueError(f"draws must be at most {MOST:,}; got {self.draws}.")
        for name in (
            "warmup",
            "clip",
            "weight_decay",
            "eval_every",
            "checkpoint_every",
            "patience",
            "encoder_rate",
        ):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative; got {getattr(self, name)}.")
        if rest := self.batch_size % self.accumulate:
            raise ValueError(
                f"accumulate={self.accumulate} does not divide a batch of {self.batch_size} into "
                f"equal parts: pass --batch-size {self.batch_size - rest or self.accumulate}."
            )
        if self.shard != "none" and self.parallel == "pmap":
            raise ValueError(
                f"--shard {self.shard} is not possible with --parallel pmap, where each device "
                "keeps all weights: drop one."
            )
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be in 0..2**32 - 1; got {self.seed}.")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive; got {self.learning_rate}.")
        for name in ("ema", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1); got {getattr(self, name)}.")
        if not self.critic_rate > 0:
            raise ValueError(f"critic_rate must be positive; got {self.critic_rate}.")
        check_fields(self.schedule, self.schedule_fields, self.steps)
        if self.snapshots:
            _check_snapshots(self)

    @functools.cached_property
    def schedule_fields(self) -> dict[str, Any]:
        """The fields that shape the schedule, with the defaults of those that were not given."""
        return fields_of(self.schedule, {name: getattr(self, name) for name in FIELDS})

    @property
    def part_size(self) -> int:
        """Examples that go through the network at once, over all devices together."""
        return self.batch_size // self.accumulate

    @property
    def cycle_ends(self) -> tuple[int, ...]:
        """How many steps are done at the end of each cycle; without cycles, all of them."""
        return cycle_ends(self.steps, self.schedule_fields.get("cycles", 1))


def _check_snapshots(recipe):
    if recipe.schedule != "cyclic":
        raise ValueError(
            "--snapshots are taken at the end of each cycle, and the schedule "
            f"{recipe.schedule} has no cycles: pass --schedule cyclic, or drop --snapshots."
        )
    if recipe.patience:
        raise ValueError(
            "--patience could end the training before its last snapshot: pass --patience 0."
        )
    if recipe.calibrate:
        raise ValueError(
            "--calibrate fits one model, and --snapshots make an ensemble of several: drop one."
        )


def to_json(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain JSON values."""
    fields = {field.name: getattr(recipe, field.name) for field in dataclasses.fields(recipe)}
    return {**fields, "model": zoo.to_config(recipe.model), "data": dataclasses.asdict(recipe.data)}


def from_json(config: dict[str, Any]) -> Recipe:
    """The inverse of `to_json`.

    Raises:
      ValueError, TypeError, KeyError: `config` is not a recipe.
    """
    model = zoo.from_config(config["model"])
    # JSON has no tuples
    fields: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in config["data"].items()}
    data = Data(**fields)
    if not isinstance(model, zoo.Generative):
        raise ValueError(f"expected the configuration of a model; got {config['model']!r}")
    recipe = Recipe(**{**config, "model": model, "data": data})
    _check_types(recipe)
    _check_types(data, "data.")
    return recipe


def _check_types(value, prefix=""):
    for name, hint in get_type_hints(type(value)).items():
        if not _is(got := getattr(value, name), hint):
            raise ValueError(
                f"{prefix}{name} is {got!r}, expected {getattr(hint, '__name__', hint)}"
            )


def _is(value, hint):
    """Whether a value that was read from JSON is one of that type; a float may be written as an
    integer.
    """
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if isinstance(hint, UnionType):
        return any(_is(value, kind) for kind in get_args(hint))
    if hint is float:
        return type(value) in (int, float)
    return type(value) is hint or hint not in (int, bool, str, NoneType)


def differences(ours: Recipe, theirs: Recipe) -> dict[str, tuple[Any, Any]]:
    """The fields in which two recipes differ, by dotted name such as `model.hidden`, each with both
    values.
    """
    left, right = (_flat({**to_json(each), **each.schedule_fields}) for each in (ours, theirs))
    return {
        name: (left.get(name), right.get(name))
        for name in {**left, **right}
        if left.get(name) != right.get(name)
    }


def _flat(config, prefix=""):
    if not isinstance(config, dict):
        return {prefix: config}
    return {
        name: leaf
        for key, value in config.items()
        for name, leaf in _flat(value, f"{prefix}.{key}" if prefix else key).items()
    }
