"""Temperature scaling: one number, fitted on the validation split after the training.

**Reference**: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, On calibration of modern neural networks,
  ICML 2017. Mixtures gain
most, whose members should each be more certain than they would be alone (A. Ashukha et al.,
Pitfalls of in-domain uncertainty estimation and ensembling in deep learning, ICLR 2020).
"""

import dataclasses
import math

import zoo
from train.data import Split
from train.engine.evaluation import evaluate
from train.recipe.checks import bernoulli
from train.recipe.recipe import Recipe

RANGE = 2.0  # temperatures lie between a half and twice


PRECISION = 0.005  # of the logarithm of the temperature


def calibrated(
    recipe: Recipe, model: zoo.Generative, variables: zoo.Variables, valid: Split
) -> zoo.Generative:
    """The model at the temperature of its Bernoulli head, to three digits, that makes a split
    likeliest.

    Args:
      recipe: says whether the mixture of the model's members is scored (`validate_ensemble`), and
        the batch size.
      model: the model; the temperature that it has does not matter.
      variables: its variables.
      valid: the split.

    Raises:
      ValueError: its head is no Bernoulli.
    """
    from scipy.optimize import minimize_scalar

    head = bernoulli(model)

    def at(temperature):
        return model.clone(head=dataclasses.replace(head, temperature=temperature))

    def nats(log_temperature):
        model = at(math.exp(log_temperature))
        return evaluate(
            model, variables, valid, recipe.batch_size, ensemble=recipe.validate_ensemble
        ).nats

    most = math.log(RANGE)
    found = minimize_scalar(
        nats, bounds=(-most, most), method="bounded", options={"xatol": PRECISION}
    )
    return at(round(math.exp(found.x), 3))
