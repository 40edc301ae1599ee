"""What of a run may be another when it is resumed or evaluated."""

from train.recipe.recipe import PLACES, WAYS, Recipe, differences
from train.runs.folder import Run, RunError


def check_same(run: Run, name: str, recipe: Recipe) -> None:
    """Raises RunError, naming each field that differs, unless the run is of this model and recipe.

    How updates are computed does not count, as a run may go on elsewhere; nor where the data lie, if
    the run has a digest of them, which `Run.check_data` compares.
    """
    stored_name, stored = run.name_and_recipe()
    if name != stored_name:
        raise RunError(f"{run.folder} is a run of {stored_name}, not of {name}.")
    changed = {
        field: both for field, both in differences(stored, recipe).items() if field not in WAYS
    }
    if run.digest is not None:
        places = {f"data.{place}" for place in PLACES}
        changed = {field: both for field, both in changed.items() if field not in places}
    if changed:
        fields = ", ".join(
            f"{field} is {old!r} in the run but {new!r} here"
            for field, (old, new) in changed.items()
        )
        raise RunError(
            f"{run.folder} cannot be resumed with another configuration: {fields}. Give what is in "
            "the run, or another run folder."
        )


def other_ways(old: Recipe, new: Recipe) -> str | None:
    """In words, in which other way updates are computed from now on; None if in the same.

    Example:
      >>> import train, zoo
      >>> recipe = train.Recipe(zoo.FVSBN())
      >>> other_ways(recipe, train.Recipe(zoo.FVSBN(), accumulate=2))
      'updates are computed with accumulate 2 (before: 1)'
    """
    changes = [
        f"{way} {getattr(new, way)} (before: {getattr(old, way)})"
        for way in WAYS
        if getattr(new, way) != getattr(old, way)
    ]
    return f"updates are computed with {', '.join(changes)}" if changes else None
