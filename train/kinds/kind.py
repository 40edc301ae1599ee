"""What differs between the kinds of things that models describe, on the side of training."""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Shaped

import zoo
from train.data.batching import Batches, Streams, Windows
from train.data.dataset import Data, DataError, Dataset, Split
from train.data.in_memory import Part, context_of, held_out, levels_of, rows
from zoo.core import checks
from zoo.formats.csv_cells import Reading

Stream = Batches | Windows | Streams


class Kind:
    """One kind of thing, such as images. A subclass declares the class attributes and overrides
    what differs.

    Attributes:
      name: as `model.kind` says it.
      holds: what its data hold, in messages.
      example: a data set of this kind that needs no network, for messages.
      loaders: the loader of every data set by its name.
      own: the name of the loader that reads a user's own data at `data.path`.
      published: names of data sets whose own files lie at `data.path`.
      flags: the fields of `Data` that mean something for this kind, beside those of every kind.
      own_flags: those of them that mean something for a user's own data only.
      recipe: the fields of `Recipe` that suit a model of this kind for which nobody stated a recipe.
      from_data: the fields of the model that the data decide, so that they are no flags.
      most_samples: how many samples a training draws at its end at most.
      needs_context: whether an example always comes with a context, as labels with their images.
    """

    name: ClassVar[str]
    holds: ClassVar[str]
    example: ClassVar[str]
    loaders: ClassVar[Mapping[str, Callable[[Data], Dataset]]]
    own: ClassVar[str]
    published: ClassVar[tuple[str, ...]] = ()
    flags: ClassVar[tuple[str, ...]] = ()
    own_flags: ClassVar[tuple[str, ...]] = ()
    recipe: ClassVar[Mapping[str, Any]] = {}
    from_data: ClassVar[tuple[str, ...]] = ()
    most_samples: ClassVar[int | None] = None
    needs_context: ClassVar[bool] = False

    def accepts(self, other: "Kind") -> bool:
        """Whether models of this kind can be trained on data of another. By default: of this kind
        only.
        """
        return other.name == self.name

    def adopted(self, dataset: Dataset) -> Dataset:
        """Data of a kind that it `accepts`, as data of this kind. By default: as they are.

        Raises:
          DataError: they lack what this kind needs.
        """
        return dataset

    def loaded(self, dataset: Dataset, data: Data) -> Dataset:
        """A data set as the flags want it, such as requantised. By default: as it was loaded."""
        return dataset

    def whole(self, model: zoo.Generative, data: Data, reading: Reading) -> Dataset:
        """All examples of a user's own file or folder at `data.path`, in each split. A kind that
        need not split them overrides this: then a few will do.

        Args:
          model: what will read them.
          data: how the model's own data were read.
          reading: how a .csv is read.

        Raises:
          DataError, ValueError: they cannot be read.
        """
        dataset = self.loaders[self.own](data)
        splits = (dataset.train, dataset.valid, dataset.test)
        x = np.concatenate([split.x for split in splits])
        labels = [split.context for split in splits if split.context is not None]
        whole = Split(x, np.concatenate(labels) if labels else None)
        return dataset.map(lambda _: whole)

    def alike(self, model: zoo.Generative, dataset: Dataset, binarise: str) -> Dataset:
        """Foreign data in the values of a trained model: its vocabulary, its size and number of
        levels. By default: as they are.

        Raises:
          DataError: there is no such thing, or `binarise` does not say how.
        """
        return dataset

    def prepare(self, model: zoo.Generative, dataset: Dataset) -> Dataset:
        """The data as the model reads them.

        Raises:
          DataError: the model cannot describe them; the message says which flags it takes.
        """
        return dataset

    def read(
        self, model: zoo.Generative, parts: Sequence[Part]
    ) -> tuple[list[Split], dict[str, Any]]:
        """Arrays as splits, and the fields of a `Dataset` that they determine. By default: a row an
        example.

        Raises:
          DataError, ValueError: they are no examples; the message names the argument.
        """
        splits = []
        for name, x, context in parts:
            examples = rows(x, name)
            if examples.ndim < 2:
                raise DataError(
                    f"{name} must have a row for each example, [N, ...]; got shape "
                    f"{list(examples.shape)}."
                )
            splits.append(Split(examples, context_of(context, len(examples), name)))
        if len({split.x.dtype.kind == "f" for split in splits}) > 1:
            raise DataError(
                "x and valid must both hold levels, or both real numbers; got "
                f"{' and '.join(str(split.x.dtype) for split in splits)}."
            )
        labels = [split.context for split in splits if split.context is not None]
        classes = all(each.ndim == 1 and each.dtype.kind in "iu" for each in labels)
        count = 1 + max(int(each.max()) for each in labels) if labels and classes else None
        return splits, {"num_levels": levels_of(splits), "num_classes": count}

    def hold_out(self, split: Split, fraction: float, seed: int) -> tuple[Split, Split]:
        """(training, validation) out of one split. By default: random rows, a function of the seed."""
        return held_out(split, fraction, seed, self.content(split))

    def content(self, split: Split) -> Shaped[np.ndarray, "N ..."]:
        """What tells the examples of a split apart: equal ones stay in one split. By default: x."""
        return split.x

    def shaped(
        self, model: zoo.Generative, dataset: Dataset, given: Collection[str]
    ) -> zoo.Generative:
        """The model in the shape of the data, but for the fields `given`. By default: as it is."""
        return model

    def suited(self, dataset: Dataset) -> Mapping[str, Any]:
        """The fields of `Recipe` that suit so much data, where nobody chose them. By default: none."""
        return {}

    def known(self, dataset: Dataset) -> dict[str, Any]:
        """The fields of the model that only the data know, such as the vocabulary."""
        return {}

    def with_data(self, model: zoo.Generative, dataset: Dataset) -> zoo.Generative:
        """The model with what only the data know."""
        return model.clone(**self.known(dataset))

    def check_chosen(self, model: zoo.Generative, dataset: Dataset) -> None:
        """Raises DataError for fields of the model that were set by the user but are contradicted
        by the data.
        """
        known = self.known(dataset)
        for field in dataclasses.fields(model):
            chosen = getattr(model, field.name)
            if field.name in known and chosen not in (field.default, known[field.name]):
                flag = f"--model.{field.name.replace('_', '-')}"
                raise DataError(
                    f"{flag} comes from {dataset.name}, which says otherwise: drop {flag}."
                )

    def batches(
        self, model: zoo.Generative, dataset: Dataset, batch_size: int, seed: int
    ) -> Stream:
        """The training stream, a pure function of the step."""
        return Batches(dataset.train, batch_size, seed, dataset.dynamic, redraw=dataset.redraw)

    def largest_batch(self, model: zoo.Generative, dataset: Dataset) -> int:
        """How many examples a training batch can have at most. By default: all of them."""
        return len(dataset.train.x)

    def shortened(self, model: zoo.Generative, batch: Split) -> Split:
        """A batch for evaluation, without what costs time and changes nothing. By default: as it
        is.
        """
        return batch

    def of_length(self, model: zoo.Generative, x: Shaped[Any, "batch ..."]) -> zoo.Generative:
        """The model for a batch that may be shorter than its own length. By default: as it is."""
        return model

    def unit(self, model: zoo.Generative) -> str:
        """What nats are stated of: `example`, or the name of one site."""
        return "example"

    def scored_sites(
        self, model: zoo.Generative, x: Shaped[Any, "batch ..."]
    ) -> Float[Any, " batch"]:
        """What the nats of each example are divided by: 1, or its sites where nats are stated of
        sites.
        """
        return np.full(len(x), 1 if self.unit(model) == "example" else model.num_sites, np.float32)

    def scores(
        self,
        members: Sequence[zoo.Generative],
        variables: zoo.Variables,
        x: Shaped[Any, "batch ..."],
        context: Any,
    ) -> dict[str, Float[Any, "batch ..."]]:
        """What evaluation measures of each example under the mixture of `members`: the nats, and
        of labels the `probabilities` of each class at each site.
        """
        return {"nats": -zoo.ensemble_log_prob(members, variables, x, context)}

    def evaluation_batch(self, batch_size: int) -> int:
        """Examples at a time when a finished run is evaluated, given how many it was trained on."""
        return 500

    def compare(self, model: zoo.Generative, nats: float, split: Split) -> str:
        """What to hold the nats of a split against, in brackets; empty if there is nothing."""
        return ""

    def facts(self, model: zoo.Generative, nats: float, split: Split) -> dict[str, Any]:
        """More numbers for results.json."""
        return {}

    def announce(self, model: zoo.Generative) -> str | None:
        """A line about the model before the training begins."""
        return None

    def keep(self, dataset: Dataset, folder: Any) -> None:
        """Leaves in the run's folder what sampling needs of the test split. By default: nothing."""

    def samples(self, asked: int) -> int | None:
        """How many samples to draw at the end of a training; None: as many as the test split has
        sources.
        """
        return asked if self.most_samples is None else min(asked, self.most_samples)


def named(model: zoo.Generative) -> str:
    """The name of the model's class, as messages say it."""
    return checks.kind(model)
