"""The flags of a training: those fields of the recipe, the data and the model that mean something
for the model, in groups, the most used first.
"""

import ast
import dataclasses
import functools
import inspect
import itertools
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, get_type_hints

import tyro

import zoo
from train.cli.heads import add_heads
from train.data.dataset import Data
from train.kinds import kind_of, kind_of_data, kinds
from train.kinds.kind import Kind, named
from train.recipe.recipe import Recipe
from zoo.cli import read_flags

TRAINING = (
    "steps",
    "batch_size",
    "seed",
    "eval_every",
    "patience",
    "conditional",
    "validate_ensemble",
    "calibrate",
    "draws",
    "checkpoint_every",
)
OPTIMISER = (
    "learning_rate",
    "schedule",
    "warmup",
    "final_rate",
    "momentum",
    "critic_rate",
    "cycles",
    "drop_at",
    "drop_factor",
    "clip",
    "weight_decay",
    "corrected_decay",
    "ema",
    "snapshots",
    "start",
    "encoder",
    "encoder_rate",
    "dtype",
    "matmul_precision",
)
SCALE = ("parallel", "shard", "accumulate", "remat")
DATA = ("name", "path")  # the fields of `Data` for every kind, before its own and after them
PLACES = ("data_dir", "manual_dir")


def data_fields(kind: Kind) -> tuple[str, ...]:
    """The fields of `Data` that mean something for data of a kind."""
    return (*DATA, *kind.flags, *PLACES)


def left_out(model: zoo.Generative, head: str) -> set[str]:
    """The fields of `Recipe` that mean nothing for a model; `head` is its head as a flag says it,
    or "".
    """
    bernoulli = head.startswith("bernoulli") or isinstance(model.head, zoo.Bernoulli)
    mixture = type(model).members is not zoo.Generative.members
    applies = {
        "conditional": hasattr(model, "num_classes"),
        "encoder": bool(model.encoder_fields),
        "encoder_rate": bool(model.encoder_fields),
        "validate_ensemble": mixture,
        "calibrate": bernoulli and model.knows == "exact",
        "critic_rate": bool(model.players),
        "draws": model.knows == "bound",
    }
    return {field for field, applied in applies.items() if not applied}


def flag_types(recipe: Recipe) -> dict[str, Any]:
    """The annotation of every field of a recipe and of its model that is a flag, by its name, such
    as `learning_rate` and `model.hidden`.

    Example:
      >>> flag_types(Recipe(zoo.FVSBN()))["steps"]
      <class 'int'>
    """
    model, hints = recipe.model, get_type_hints(Recipe)
    hidden = {*left_out(model, ""), "checkpoint_every"}
    names = _without((*TRAINING, *OPTIMISER), hidden)
    inner = {*kind_of(model).from_data, "parent", "name"}
    fields = [field for field in dataclasses.fields(model) if field.name not in inner]
    return {
        **{name: hints[name] for name in names},
        **{f"model.{field.name}": field.type for field in fields},
    }


def words_of(name: str, value: Any) -> list[str]:
    """A field and its value as words of the command line; items of a tuple are split by commas.

    Example:
      >>> words_of("model.hidden", "500,500"), words_of("corrected_decay", "false")
      (['--model.hidden', '500', '500'], ['--no-corrected-decay'])
    """
    prefix, dot, field = name.replace("_", "-").rpartition(".")
    if str(value).lower() in ("true", "false"):
        no = "" if str(value).lower() == "true" else "no-"
        return [f"--{prefix}{dot}{no}{field}"]
    return [f"--{prefix}{dot}{field}", *str(value).split(",")]


def read_recipe(
    recipe: Recipe,
    run: type,
    prog: str,
    args: Sequence[str],
    *,
    data: str,
    head: str = "",
    description: str = "",
) -> tuple[Recipe, Any]:
    """The recipe with the flags in `args`, and an instance of the dataclass `run` with those about
    the run.

    Args:
      recipe: the defaults.
      run: a dataclass of flags that are no part of a recipe.
      prog: the command, for messages.
      args: the words of the command line.
      data: the name of the data set, which decides what flags its data have.
      head: the head on the command line.
      description: what `--help` begins with.

    Raises:
      ValueError: a flag that another model or kind of data has.
      SystemExit: wrong flags, or --help.
    """
    model, known = recipe.model, {name for each in kinds().values() for name in each.loaders}
    of, kind = kind_of_data(data) if data in known else kind_of(model), kind_of(model)
    hidden = left_out(model, head)
    shown = {"training": TRAINING, "optimiser": OPTIMISER, "scale": SCALE}
    shown = {name: _without(names, hidden) for name, names in shown.items()}
    _check_flags(args, model, of, {*itertools.chain(*shown.values())})
    groups: dict[str, Any] = {name: _flags(Recipe, names, recipe) for name, names in shown.items()}
    which = f"Which data: {', '.join(of.loaders)}; {of.own} is your own, at --data.path."
    data_flags = _flags(Data, data_fields(of), recipe.data, name=which)
    groups |= {"data": data_flags, "model": model, "run": run()}
    options = read_flags(
        _dataclass("Flags", groups, plain=("data", "model")),
        prog,
        args=list(args),
        description=description,
        registry=_registry(type(model), kind.from_data),
    )
    changes = {k: v for name in shown for k, v in vars(getattr(options, name)).items()}
    changes["data"] = dataclasses.replace(recipe.data, **vars(options.data))
    return dataclasses.replace(recipe, model=options.model, **changes), options.run


def read_model(cls: type, prog: str, args: Sequence[str]) -> zoo.Generative:
    """A model whose constructor needs arguments, from the flags `--model.NAME` among `args`.

    Raises:
      SystemExit: a flag is missing or wrong; one line on stderr says which flags are needed.
    """
    fields: Any = [("model", cls)]
    flags = dataclasses.make_dataclass("Flags", fields, frozen=True)
    words = list(_model_words(args))
    return read_flags(flags, prog, args=words, registry=_registry(cls, ())).model


def _model_words(args):
    """The flags of the model and their values."""
    taken = False
    for word in args:
        if word.startswith("-") and not word[1:2].isdigit():
            taken = word.startswith("--model.")
        if taken:
            yield word


def _check_flags(args: Sequence[str], model: zoo.Generative, of: Kind, shown: set[str]) -> None:
    """Names a flag that exists for another model or other data and not here."""
    recipes = {field.name for field in dataclasses.fields(Recipe)} - {"model", "data"}
    others = {"": recipes - shown}
    others["data."] = {field.name for field in dataclasses.fields(Data)} - {*data_fields(of)}
    others["model."] = {name for name in kind_of(model).from_data if hasattr(model, name)}
    for word in args:
        flag = word.partition("=")[0]
        prefix, field = _split(flag)
        if field not in others.get(prefix, ()):
            continue
        if prefix == "model.":
            raise ValueError(f"{flag} is decided by the data: drop it.")
        name = of.name if prefix == "data." else kind_of(model).name
        raise ValueError(f"{flag} is not supported by {named(model)} ({name}): drop it.")


def _split(flag):
    """`--data.data-dir` as ("data.", "data_dir"), `--no-conditional` as ("", "conditional")."""
    name = flag.removeprefix("--") if flag.startswith("--") else ""
    prefix, dot, field = name.rpartition(".")
    return prefix + dot, field.removeprefix("no-").replace("-", "_")


def _without(names: Iterable[str], hidden: set[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in hidden)


def _flags(cls: type, names: Iterable[str], defaults: Any, **more: str) -> Any:
    """An instance of a dataclass with these fields of `cls`, their values those of `defaults`;
    `more` are help texts that replace docstrings.
    """
    hints, docs = get_type_hints(cls), {**field_docs(cls), **more}
    fields: Any = [
        (
            name,
            Annotated[hints[name], tyro.conf.arg(help=docs[name])],
            dataclasses.field(default=getattr(defaults, name)),
        )
        for name in names
    ]
    return dataclasses.make_dataclass(cls.__name__, fields, frozen=True)()


def _dataclass(name: str, values: Mapping[str, Any], plain: Sequence[str]) -> type:
    """A dataclass with these defaults; the flags of fields in `plain` begin with the name of the
    field.
    """
    fields: Any = [
        (
            key,
            type(value) if key in plain else Annotated[type(value), tyro.conf.OmitArgPrefixes],
            dataclasses.field(default_factory=functools.partial(_same, value)),
        )
        for key, value in values.items()
    ]
    return dataclasses.make_dataclass(name, fields, frozen=True)


def _same(value):
    return value


@functools.cache
def field_docs(cls: type) -> Mapping[str, str]:
    """The docstrings under the fields of a dataclass, a line each.

    Example:
      >>> field_docs(Recipe)["steps"]
      'Updates in all.'
    """
    tree: Any = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    pairs: Any = itertools.pairwise(tree.body[0].body)
    return {
        ast.unparse(field.target): " ".join(ast.literal_eval(doc.value).split())
        for field, doc in pairs
        if isinstance(field, ast.AnnAssign) and isinstance(doc, ast.Expr)
    }


def _registry(cls: type, hidden: Sequence[str]) -> tyro.constructors.ConstructorRegistry:
    """Reads heads as one word, and shows no flags for the fields `hidden` of the model's class."""
    registries = tyro.constructors.ConstructorRegistry
    registry = registries()
    add_heads(registry)
    inside = False

    @registry.struct_rule
    def rule(info):
        nonlocal inside
        if inside or info.type is not cls or not isinstance(info.default, cls):
            return None
        inside = True  # the rule for dataclasses comes next
        try:
            spec: Any = registries.get_struct_spec(info)
        finally:
            inside = False

        def make(**fields):
            """The fields of the model."""
            return info.default.clone(**fields)

        shown = tuple(field for field in spec.fields if field.name not in hidden)
        return dataclasses.replace(spec, instantiate=make, fields=shown)

    return registry
