"""The data of a run that goes on, as they were when it began, wherever they lie now."""

from train.data import DataError, Dataset
from train.recipe.recipe import PLACES, Recipe
from train.runs.folder import Run, RunError


def load_data(run: Run, recipe: Recipe) -> Dataset:
    """The data of a run that has begun, as they were when it began, wherever they lie now.

    Raises:
      DataError, RunError: they cannot be had, or are others.
    """
    from train.engine.prepare import inputs  # which knows evaluation, which knows runs

    try:
        dataset = inputs(recipe)
    except (DataError, OSError) as error:
        if not any(getattr(recipe.data, place) for place in PLACES):
            raise
        raise RunError(
            f"{' '.join(str(error).split()).rstrip('.')}. If the data of {run.folder} were "
            "moved, say where they are by "
            "--data.path (--data.data-dir, --data.manual-dir)."
        ) from None
    run.check_data(dataset)
    return dataset
