"""What a recipe needs of its model, checked before anything is trained."""

import zoo
from zoo.core import checks


def bernoulli(model: zoo.Generative) -> zoo.Bernoulli:
    """The head whose temperature is fitted; ValueError if the model has another."""
    if model.knows != "exact":
        raise ValueError("--calibrate needs a model that knows its likelihood exactly: drop it.")
    if isinstance(model.head, zoo.Bernoulli):
        return model.head
    head = type(model.head).__name__
    raise ValueError(
        f"--calibrate fits the temperature of a Bernoulli head, and this one is a {head}: drop it."
    )


def exact(model: zoo.Generative, flag: str) -> None:
    """Raises ValueError if the model does not know its likelihood exactly, so that there is no
    probability to average.
    """
    if model.knows != "exact":
        raise ValueError(
            f"--{flag} averages probabilities, and {checks.kind(model)} does not know them exactly: "
            f"drop --{flag}."
        )
