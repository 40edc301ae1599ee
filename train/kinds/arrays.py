"""What images and tables share: every example is an array of sites of one shape."""

import dataclasses
import json
from typing import Any

import numpy as np

import zoo
from train.data.dataset import DataError, Dataset
from train.data.in_files import blocks
from train.kinds.kind import Kind, named
from zoo.dense.standardised import ChangeOfVariables
from zoo.formats.kept_reading import COLUMNS
from zoo.foundation.files import write_whole
from zoo.heads import why_outside


class Arrays(Kind):
    """Examples of the model's own shape, levels or real numbers."""

    def accepts(self, other):
        return isinstance(other, Arrays)

    def shaped(self, model, dataset, given):
        """`site_shape` and head describe the examples, `num_classes` their labels; sizes follow the
        number of examples if the model prefers some.
        """
        shape, levels = dataset.train.x.shape[1:], dataset.num_levels
        _check_axes(model, dataset)
        free = {field.name for field in dataclasses.fields(model)} - set(given)
        changes: dict[str, Any] = {}
        if "head" not in free:
            event = _event(model, shape)
        else:
            event = shape[2:] if model.joint else ()
            fits = model.head.num_values == levels and model.head.event_shape == event
            changes |= {} if fits else {"head": model.preferred_head(levels, event)}
        if "site_shape" in free:
            changes["site_shape"] = shape[: len(shape) - len(event)]
        if "num_classes" in free and dataset.train.context is not None:
            changes["num_classes"] = dataset.num_classes or 0
        sizes = type(model).preferred_sizes(len(dataset.train.x))
        changes |= {name: size for name, size in sizes.items() if name in free}
        return model.clone(**changes)

    def alike(self, model, dataset, binarise):
        """The shape must be the model's."""
        found, wanted = dataset.test.x.shape[1:], (*model.site_shape, *model.head.event_shape)
        if found != wanted:
            raise DataError(
                f"{dataset.name} has examples of shape {list(found)}, but {named(model)} describes "
                f"{list(wanted)}: name data of that shape."
            )
        return dataset

    def prepare(self, model, dataset):
        name, wanted = type(model).__name__, (*model.site_shape, *model.head.event_shape)
        got = dataset.train.x.shape[1:]
        if got != wanted:
            event = _event(model, got)
            sites, flags = got[: len(got) - len(event)], ""
            if event != model.head.event_shape:
                flags = f" --model.head {_head(event, dataset.num_levels)}"
            raise DataError(
                f"{dataset.name} has examples of shape {list(got)}, but the {name} describes "
                f"{list(wanted)}: "
                f"pass --model.site-shape {' '.join(map(str, sites))}{flags}, or choose other data."
            )
        _check_values(model, dataset)
        return dataset

    def with_data(self, model, dataset):
        """Real values are standardised by the means and deviations of the training split."""
        if dataset.num_levels is not None or isinstance(model, ChangeOfVariables):
            return model
        rows = dataset.train.x.reshape(len(dataset.train.x), -1).astype(np.float64)
        shift, scale = (
            tuple(float(np.float32(value)) for value in each)
            for each in (rows.mean(0), rows.std(0))
        )
        if 0.0 in scale:
            raise DataError(
                f"{dataset.name}: site {scale.index(0.0)} is {shift[scale.index(0.0)]:g} in every "
                "training example, so it has no density: drop it."
            )
        autoregressive = isinstance(model, zoo.Autoregressive)
        wrapper = zoo.Standardised if autoregressive else zoo.StandardisedGenerative
        return wrapper(model, shift, scale, column_names=dataset.column_names)

    def compare(self, model, nats, split):
        """For a standardised model, the nats that papers on tables print: of the standardised
        columns.
        """
        gain = model.log_jacobian
        if not gain or model.knows == "none":
            return ""
        at_most = "<= " if model.knows == "bound" else ""
        return f" ({at_most}{nats + gain:.2f} nats of the standardised columns)"

    def facts(self, model, nats, split):
        gain = model.log_jacobian
        return {"nats_standardised": nats + gain} if gain and model.knows != "none" else {}

    def keep(self, dataset, folder):
        """Of rows and vectors the names, means and standard deviations of the test split's columns,
        and how their file was read.
        """
        x = dataset.test.x
        if x.ndim != 2:
            return
        columns: dict[str, Any] = {
            "names": list(dataset.column_names) or [f"column {i + 1}" for i in range(x.shape[1])],
            "mean": x.mean(0, np.float64).tolist(),
            "deviation": x.std(0, np.float64).tolist(),
            "rows": len(x),
        }
        if dataset.reading is not None:
            columns["reading"] = dataclasses.asdict(dataset.reading)
        write_whole(folder / COLUMNS, json.dumps(columns).encode())


def _check_axes(model: zoo.Generative, dataset: Dataset) -> None:
    """Raises DataError if a model of images gets vectors."""
    shape, levels = dataset.train.x.shape[1:], dataset.num_levels
    if len(shape) > 1 or not isinstance(model, zoo.Raster):
        return
    kind = "table" if levels is None else "images"
    exact = {name: entry.tiny for name, entry in zoo.CATALOGUE.items() if entry.tiny.kind == kind}
    names = [
        name
        for name, tiny in exact.items()
        if tiny.knows == "exact" and not isinstance(tiny, zoo.Raster)
    ]
    raise DataError(
        f"{dataset.name} holds vectors of {shape[0]} values, but {named(model)} describes images: "
        f"choose a model of vectors ({', '.join(names)}), or give images [N, height, width]."
    )


def _check_values(model: zoo.Generative, dataset: Dataset) -> None:
    levels = dataset.num_levels
    if (levels is None) != (model.head.num_values is None):
        real = levels is None
        values, head = (
            ("real values", "mixtureofgaussians:10") if real else ("levels", "categorical")
        )
        raise DataError(
            f"{dataset.name} has {values}, but a {type(model.head).__name__} head does not "
            "describe them: pass another "
            f"--model.head, such as {head}."
        )
    if levels is not None and (reason := why_outside(model.head, np.asarray([0, levels - 1]))):
        raise DataError(
            f"{dataset.name} has {levels} levels, but {reason}: pass "
            f"--model.head {_head(model.head.event_shape, levels)}, or --data.binarise dynamic."
        )
    for split, what in ((dataset.valid, "validation"), (dataset.test, "test")):
        for block in blocks(split.x):
            zoo.check_values(model, block, f"the {what} split of {dataset.name}")


def _event(model: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The last axes of an example, which one value of the head spans; the axes before are sites.

    For a model of images: the axis of colours if one site holds all colours of its pixel, else
    none. For any other model: the axes of its head, where the example ends with them.
    """
    if model.joint is not None:
        return shape[2:] if model.joint else ()
    event = model.head.event_shape
    return event if shape[len(shape) - len(event) :] == event else ()


def _head(event, levels):
    """A head of such values, as a flag says it."""
    return (
        f"discretizedlogisticmixture:10:{levels}:{event[0]}" if event else f"categorical:{levels}"
    )
