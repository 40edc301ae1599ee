"""The data of a recipe, checked against its model before anything is written."""

import dataclasses
import math
from typing import Any

import jax
import numpy as np

import zoo
from train.calibrate import bernoulli
from train.data import Batches, DataError, Dataset, Split, Streams, Windows, lines, load, ragged
from train.recipe import Recipe, streamed, unit
from train.update import initial_state, make_update
from zoo import checks
from zoo.limits import check_memory
from zoo.tokens import END, PAD, SPECIAL

EXAMPLES = {
    "no text": "mnist_1bit",
    "text": "python_docs",
    "sound": "tones",
    "pairs of texts": "dates",
    "captions": "scenes",
}


def inputs(recipe: Recipe) -> Dataset:
    """Loads the recipe's data; labels are kept only for a conditional model.

    Raises:
      DataError: the data cannot be had, or the model cannot describe them.
    """
    dataset = load(recipe.data)
    if recipe.conditional and dataset.num_classes is None:
        raise DataError(f"{dataset.name} has no labels, so a model cannot be conditional on them: drop --conditional.")
    if not (recipe.conditional or dataset.paired):
        dataset = _each(dataset, lambda split: split._replace(context=None))
    if (kind := _kind(dataset)) != (wanted := _described(recipe.model)):
        name, what = type(recipe.model).__name__, f"no {wanted}" if kind == "no text" else kind
        raise DataError(
            f"{dataset.name} is {what}, which {name} does not describe: pass --data.name, such as {EXAMPLES[wanted]}."
        )
    _check_said(recipe.model, dataset)
    if kind == "sound":
        dataset = _quantised(dataset, recipe.model)
    if dataset.paired:
        dataset = _padded(dataset, recipe.model)
    elif kind in ("text", "sound"):
        if kind == "text" and getattr(recipe.model, "end", None) is not None:
            raise DataError(f"{dataset.name} is one long text, in which nothing ends: drop --model.end and --model.pad")
        dataset = _windows(dataset, recipe.model)
    else:
        _check(recipe.model, dataset)
    model = fitted(recipe, dataset).model  # which knows how many tokens a source may have
    for split in (dataset.train, dataset.valid, dataset.test):
        zoo.check_context(model, split.context)
    return dataset


def fitted(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe to train: the model is given what only the data know.

    Where values are real, the means and deviations of the training split; of texts, the vocabulary; of pairs both;
    of sounds, the rate.
    """
    model: Any = recipe.model
    if dataset.vocabulary:
        head = zoo.Categorical(len(dataset.vocabulary))
        return dataclasses.replace(recipe, model=model.clone(head=head, **_known(dataset)))
    if dataset.rate:
        return dataclasses.replace(recipe, model=model.clone(rate=dataset.rate))
    if dataset.num_levels is not None:
        return recipe
    rows = dataset.train.x.reshape(len(dataset.train.x), -1).astype(np.float64)
    shift, scale = (tuple(float(np.float32(value)) for value in each) for each in (rows.mean(0), rows.std(0)))
    return dataclasses.replace(recipe, model=zoo.Standardised(model, shift, scale))


def training_batches(recipe: Recipe, dataset: Dataset) -> Batches | Windows | Streams:
    """The training stream, a pure function of the step: examples; or of one long text and of sounds windows, and streams of
    a text for a recurrent network."""
    if dataset.paired or unit(recipe.model) == "example":
        return Batches(dataset.train, recipe.batch_size, recipe.seed, dataset.dynamic, dataset.paired)
    length = recipe.model.num_sites
    if streamed(recipe.model):
        return Streams(dataset.train.x, length, recipe.batch_size)
    return Windows(dataset.train, length, recipe.batch_size, recipe.seed)


def check_trainable(recipe: Recipe, dataset: Dataset) -> None:
    """Raises ValueError if the first step would: everything that can be found out before anything is written."""
    make_update(recipe)
    members = recipe.model.members()  # refuses more than there can be
    if recipe.validate_ensemble and len(members) == 1:
        raise ValueError(f"this {checks.kind(recipe.model)} is one model and no ensemble: drop --validate-ensemble.")
    if recipe.calibrate:
        bernoulli(recipe.model)
    batches = training_batches(recipe, dataset)
    check_memory(recipe.model, jax.eval_shape(lambda: initial_state(recipe, *batches(0))), "its training")


def _kind(dataset):
    if dataset.paired:
        return "pairs of texts" if dataset.source_vocabulary else "captions"
    return "text" if dataset.vocabulary else "sound" if dataset.rate else "no text"


def _known(dataset: Dataset) -> dict[str, Any]:
    """The fields of a model of tokens, but for its head, that only the data know."""
    known: dict[str, Any] = {"vocabulary": dataset.vocabulary} if dataset.vocabulary else {}
    if dataset.paired:
        known |= {"unit": dataset.unit, "pad": SPECIAL.index(PAD), "end": SPECIAL.index(END)}
    if source := dataset.source_vocabulary:
        known |= {"source_vocabulary": source, "source_values": len(source), "source_pad": SPECIAL.index(PAD)}
    return known


def _check_said(model, dataset):
    """Refuses fields of the model that were chosen, but are the data's to say, and are not so there."""
    known = _known(dataset)
    for field in dataclasses.fields(model):
        said = getattr(model, field.name)
        if field.name not in known or said in (field.default, known[field.name]):
            continue
        if field.name == "unit":
            raise DataError(
                f"a token of {dataset.name} is a {dataset.unit}, not a {said}: pass --data.unit {said} instead."
            )
        flag = f"--model.{field.name.replace('_', '-')}"
        raise DataError(f"{flag} comes from {dataset.name}, which says otherwise: drop {flag}.")


def _described(model):
    kinds = {
        zoo.Translator: "pairs of texts",
        zoo.ImageDescriber: "captions",
        zoo.Sequence: "text",
        zoo.WaveNet: "sound",
    }
    return next((kind for cls, kind in kinds.items() if isinstance(model, cls)), "no text")


def _padded(dataset, model):
    """Sequences filled up with padding to the length of the model."""
    splits, length = (dataset.train, dataset.valid, dataset.test), model.num_sites
    longest = max(split.x.shape[1] for split in splits)
    if longest > length:
        raise DataError(
            f"{dataset.name} has sequences of up to {longest} tokens with their end, but the {type(model).__name__} writes "
            f"at most {length}: pass --model.site-shape {longest}."
        )
    if isinstance(model, zoo.ImageDescriber) and (complaint := model.complaint(dataset.test.context)):
        shape = " ".join(map(str, dataset.test.context.shape[1:]))
        raise DataError(f"{dataset.name}: {type(model).__name__} {complaint}: pass --model.image-shape {shape}.")

    def pad(split):
        return split._replace(x=np.pad(split.x, ((0, 0), (0, length - split.x.shape[1]))))

    return _each(dataset, pad)


def _windows(dataset, model):
    """A text or sounds, validation and test splits cut into windows as long as the model, each from where a line begins."""
    length = model.num_sites

    def check(split, name):
        shortest = min(map(len, lines(split)))
        if shortest >= length:
            return
        if dataset.rate:
            seconds = math.ceil(100 * length / dataset.rate) / 100
            raise DataError(
                f"{dataset.name}: the shortest recording of the {name} split has {shortest:,} samples, fewer than one "
                f"window of {length}: take it out, or pass a smaller --model.site-shape, or --data.seconds of at least "
                f"{seconds:g}, to which all recordings are cut or filled up."
            )
        raise DataError(
            f"{dataset.name}: the {name} split has {shortest:,} tokens, fewer than one window of {length}: pass "
            "--model.site-shape N with a smaller N, or a longer text."
        )

    def cut(split, name):
        check(split, name)
        counts = [len(line) // length for line in lines(split)]
        pieces = [
            line[: count * length].reshape(count, length) for line, count in zip(lines(split), counts, strict=True)
        ]
        return Split(np.concatenate(pieces), None if split.context is None else np.repeat(split.context, counts))

    if dataset.rate:
        check(dataset.train, "training")
    return dataclasses.replace(dataset, valid=cut(dataset.valid, "validation"), test=cut(dataset.test, "test"))


def _quantised(dataset, model):
    """Sounds as the levels of the model."""
    levels = model.head.num_values
    if levels is None:
        raise DataError(
            f"sounds are levels, but a {type(model.head).__name__} head has none: pass another --model.head, such as "
            "categorical:256."
        )

    def quantised(line):
        return zoo.quantise(line / 2.0**15, levels, model.companding).astype(np.uint8 if levels <= 256 else np.int32)

    dataset = _each(dataset, lambda split: split._replace(x=ragged([quantised(line) for line in split.x])))
    how = "mu-law" if model.companding == "mu_law" else "linear"
    return dataclasses.replace(
        dataset, num_levels=levels, description=f"{dataset.description}, {levels:,} {how} levels"
    )


def _check(model, dataset):
    name, wanted = type(model).__name__, (*model.site_shape, *model.head.event_shape)
    got = dataset.train.x.shape[1:]
    if got != wanted:
        event = _event(model, got)
        sites, flags = got[: len(got) - len(event)], ""
        if event != model.head.event_shape:
            flags = f" --model.head {_head(event, dataset.num_levels)}"
        raise DataError(
            f"{dataset.name} has examples of shape {list(got)}, but the {name} describes {list(wanted)}: "
            f"pass --model.site-shape {' '.join(map(str, sites))}{flags}, or choose other data."
        )
    if (dataset.num_levels is None) != (model.head.num_values is None):
        values, head = (
            ("real values", "mixtureofgaussians:10") if dataset.num_levels is None else ("levels", "categorical")
        )
        raise DataError(
            f"{dataset.name} has {values}, but a {type(model.head).__name__} head does not describe them: pass another "
            f"--model.head, such as {head}."
        )
    if dataset.num_levels is not None and (complaint := model.head.complaint(np.asarray([0, dataset.num_levels - 1]))):
        raise DataError(
            f"{dataset.name} has {dataset.num_levels} levels, but {complaint}: pass "
            f"--model.head {_head(model.head.event_shape, dataset.num_levels)}, or --data.binarise dynamic."
        )
    zoo.check_values(model, dataset.valid.x, f"the validation split of {dataset.name}")
    zoo.check_values(model, dataset.test.x, f"the test split of {dataset.name}")


def _event(model, shape):
    """The axes of an example that the head must describe, those before being sites: all colours of a pixel, where one site
    of the model holds them, or what its head is made for."""
    if isinstance(model, zoo.Raster):
        return shape[2:] if model.joint else ()
    event = model.head.event_shape
    return event if shape[len(shape) - len(event) :] == event else ()


def _head(event, levels):
    """A head of such values, as a flag says it."""
    return f"discretizedlogisticmixture:10:{levels}:{event[0]}" if event else f"categorical:{levels}"


def _each(dataset, function):
    return dataclasses.replace(
        dataset, train=function(dataset.train), valid=function(dataset.valid), test=function(dataset.test)
    )
