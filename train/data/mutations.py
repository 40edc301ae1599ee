"""Data with values replaced at random, for a background model.

A background model is trained like the model whose examples are judged, on inputs with a share mu of
their values mutated: it learns what is frequent everywhere, and less of what makes an example what
it is. The likelihood ratio of the two cancels the background.

**Reference**: J. Ren et al., Likelihood ratios for out-of-distribution detection, NeurIPS 2019.
"""

import dataclasses

import numpy as np
from jaxtyping import Shaped

from train.data.dataset import Data, DataError, Dataset, generator, ragged, take
from train.data.in_files import in_files

_MUTATION = 4  # a stream of seeds, beside those of `batching`, `in_memory` and `subsets`


def mutate(dataset: Dataset, data: Data) -> Dataset:
    """The data with each value of the training and validation split replaced with probability
    `data.mutate`: by a level drawn uniformly, or where values have no levels of their own (tables,
    sounds) by the value of another training example at that place.

    Training examples are mutated again whenever they are used; validation, texts and sounds once,
    with a fixed seed. The test split stays as it is.

    Raises:
      DataError: the rate is not in 0..1.

    Example:
      >>> from train.kinds import load
      >>> plain, mutated = (load(Data("digits", mutate=rate)) for rate in (0.0, 0.5))
      >>> share = (plain.valid.x != mutated.valid.x).mean()
      >>> bool(0.4 < share < 0.5), bool((plain.test.x == mutated.test.x).all())
      (True, True)
    """
    rate = data.mutate
    if not 0 < rate <= 1:
        raise DataError(f"--data.mutate is a share of the values, in 0..1; got {rate:g}.")
    train = dataset.train
    is_sound = train.x.dtype == object
    own = None if is_sound else dataset.num_levels
    levels = 256 if dataset.dynamic else own
    pool = None if levels else np.concatenate(list(train.x)) if is_sound else train.x

    def fresh(random, index):
        examples = dataset.redraw(random, index) if dataset.redraw else take(train, index)
        return examples._replace(x=_mutated(examples.x, rate, levels, pool, random))

    def once(split, number, levels):
        random = generator(0, _MUTATION, number)
        return split._replace(x=_mutated(split.x, rate, levels, pool, random))

    is_line = is_sound or dataset.vocabulary
    return dataclasses.replace(
        dataset,
        train=train if in_files(train.x) else once(train, 0, levels),  # `fresh` mutates it anyway
        valid=once(dataset.valid, 1, own),
        redraw=None if is_line else fresh,
        description=f"{dataset.description}, {rate:g} of the training values mutated",
    )


def _mutated(
    x: Shaped[np.ndarray, "N *site"],
    rate: float,
    levels: int | None,
    pool: np.ndarray | None,
    random: np.random.Generator,
) -> Shaped[np.ndarray, "N *site"]:
    """`x` with a share of its values replaced: by levels, or by values of the pool."""
    if x.dtype == object:
        return ragged([_mutated(line, rate, levels, pool, random) for line in x])
    hit = random.random(x.shape) < rate
    if levels is not None:
        new = random.integers(levels, size=x.shape).astype(x.dtype)
        return np.where(hit, new, x)
    assert pool is not None
    if pool.ndim == 1:
        new = random.choice(pool, size=x.shape)
    else:  # of a table: at each place the value that another row has there
        rows = random.integers(len(pool), size=x.shape)
        new = np.take_along_axis(pool.reshape(len(pool), -1), rows.reshape(len(x), -1), axis=0)
        new = new.reshape(x.shape)
    return np.where(hit, new, x)
