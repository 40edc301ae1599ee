"""Parts of a data set: some classes, or a few training examples."""

import dataclasses

import numpy as np
from jaxtyping import Int

from train.data.dataset import Data, DataError, Dataset, Split, generator, only

_SUBSET = 3  # a stream of `train_seed`, beside those of `batching` and `in_memory`


def of_classes(dataset: Dataset, classes: tuple[int, ...]) -> Dataset:
    """The examples of some classes in all splits; class i is then the i-th of `classes`.

    Raises:
      DataError: the data have no such classes, or no labels.
    """
    flag = f"--data.classes {' '.join(map(str, classes))}"
    if dataset.num_classes is None or labels_of(dataset.train) is None:
        raise DataError(f"{dataset.name} has no label for each example: drop {flag}.")
    if unknown := [each for each in classes if not 0 <= each < dataset.num_classes]:
        raise DataError(
            f"{flag}: {dataset.name} has no class {unknown[0]}; it has "
            f"0..{dataset.num_classes - 1}."
        )
    if len(set(classes)) < len(classes):
        raise DataError(f"{flag} names a class twice: name each once.")
    number = np.full(dataset.num_classes, -1, np.int32)
    number[list(classes)] = np.arange(len(classes))

    def inside(split: Split) -> np.ndarray:
        return np.flatnonzero(number[split.context] >= 0)

    names = dataset.class_names or tuple(map(str, range(dataset.num_classes)))
    dataset = dataset.only(inside(dataset.train))
    dataset = dataclasses.replace(
        dataset,
        valid=only(dataset.valid, inside(dataset.valid)),
        test=only(dataset.test, inside(dataset.test)),
    )
    dataset = dataclasses.replace(
        dataset.map(lambda split: split._replace(context=number[split.context])),
        num_classes=len(classes),
        class_names=tuple(names[each] for each in classes),
    )
    chosen = f"classes {' '.join(map(str, classes))} only: test split of {len(dataset.test.x):,}"
    dataset = dataclasses.replace(dataset, description=f"{dataset.description}, {chosen}")
    splits = {"training": dataset.train, "validation": dataset.valid, "test": dataset.test}
    if empty := [name for name, split in splits.items() if not len(split.x)]:
        raise DataError(f"{flag} leaves the {empty[0]} split of {dataset.name} empty.")
    return dataset


def few(dataset: Dataset, data: Data) -> Dataset:
    """`data.train` training examples, the same classes as often as can be.

    They are taken class by class in turn, each class in an order drawn with `data.train_seed`: so
    fewer examples are a part of more.

    Raises:
      DataError: there are not as many, or not one for each class.
    """
    count, there = data.train, len(dataset.train.x)
    if not 1 <= count <= there:
        raise DataError(
            f"--data.train {count}: {dataset.name} has {there:,} training examples; ask for "
            f"1..{there}, or for 0: all."
        )
    labels = labels_of(dataset.train)
    if labels is not None and count < (classes := len(np.unique(labels))):
        raise DataError(
            f"--data.train {count} leaves a class of {dataset.name} without an example: ask for "
            f"at least {classes}, one for each class."
        )
    order = generator(data.train_seed, _SUBSET).permutation(there)
    if labels is not None:  # the first of each class, then the second of each, ...
        order = order[np.argsort(turns(labels[order]), kind="stable")]
    description = (
        f"{dataset.description}, {count:,} of {there:,} training examples (seed {data.train_seed})"
    )
    return dataclasses.replace(dataset.only(np.sort(order[:count])), description=description)


def turns(labels: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """How many examples of its class come before each.

    Example:
      >>> turns(np.array([4, 7, 4, 4, 7])).tolist()
      [0, 0, 1, 2, 1]
    """
    by_class = np.argsort(labels, kind="stable")
    ordered = labels[by_class]
    found = np.empty(len(labels), int)
    found[by_class] = np.arange(len(labels)) - np.searchsorted(ordered, ordered)
    return found


def labels_of(split: Split) -> Int[np.ndarray, " N"] | None:
    """The label of each example, if each has one."""
    context = split.context
    labelled = context is not None and context.ndim == 1 and context.dtype.kind in "iu"
    return context if labelled else None
