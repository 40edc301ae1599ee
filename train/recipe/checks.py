"""What a recipe needs of its model, checked before anything is trained."""

import zoo


def bernoulli(model: zoo.Autoregressive) -> zoo.Bernoulli:
    """The head whose temperature is fitted; ValueError if the model has another."""
    if isinstance(model.head, zoo.Bernoulli):
        return model.head
    head = type(model.head).__name__
    raise ValueError(
        f"--calibrate fits the temperature of a Bernoulli head, and this one is a {head}: drop it."
    )
