"""RNN: Elman's simple recurrent network."""

from typing import ClassVar

from zoo.foundation.registry import register
from zoo.layers.cells import Cell
from zoo.sequences.recurrent import RecurrentNetwork


@register
class RNN(RecurrentNetwork):
    """Elman's simple recurrent network: h_t = tanh(W x_{t-1} + U h_{t-1} + b).

    **Reference**: J. L. Elman, Finding structure in time, Cognitive Science 1990.

    Differs from the paper: any number of layers, an output layer of logits.

    Attributes: those of `RecurrentNetwork`.

    Example:
      >>> import zoo
      >>> model = zoo.RNN((16,), features=8, head=zoo.Categorical(5))
      >>> x, context = zoo.example(model, batch=2)
      >>> x.shape, model.kind
      ((2, 16), 'text')
    """

    cell: ClassVar[Cell] = "elman"
