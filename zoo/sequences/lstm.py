"""LSTM: long short-term memory."""

from typing import ClassVar

from zoo.foundation.registry import register
from zoo.layers.cells import Cell
from zoo.sequences.recurrent import RecurrentNetwork


@register
class LSTM(RecurrentNetwork):
    """Long short-term memory: h_t = sigmoid(o) tanh(c_t), c_t = sigmoid(f) c_{t-1} + sigmoid(i)
    tanh(g).

    **References**: S. Hochreiter, J. Schmidhuber, Long short-term memory, Neural Computation 1997;
    F. A. Gers, J. Schmidhuber, F. Cummins, Learning to forget, Neural Computation 2000.

    Differs from the papers: no peepholes.

    Attributes: those of `RecurrentNetwork`.

    Example:
      >>> import zoo
      >>> model = zoo.LSTM((16,), features=8, layers=2, head=zoo.Categorical(5))
      >>> x, context = zoo.example(model, batch=2)
      >>> x.shape, model.kind
      ((2, 16), 'text')
    """

    cell: ClassVar[Cell] = "lstm"
