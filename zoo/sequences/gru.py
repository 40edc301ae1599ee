"""GRU: gated recurrent units."""

from typing import ClassVar

from zoo.foundation.registry import register
from zoo.layers.cells import Cell
from zoo.sequences.recurrent import RecurrentNetwork


@register
class GRU(RecurrentNetwork):
    """Gated recurrent units: h_t = (1 - z) n + z h_{t-1}, with

        r, z = sigmoid(W' x_{t-1} + U' h_{t-1}),    n = tanh(W x_{t-1} + r (U h_{t-1} + b)).

    **Reference**: K. Cho et al., Learning phrase representations using RNN encoder-decoder for
    statistical machine translation, EMNLP 2014.

    Differs from the paper: the reset gate acts after the state's kernel, so that one matmul serves
    all gates.

    Attributes: those of `RecurrentNetwork`.

    Example:
      >>> import zoo
      >>> model = zoo.GRU((16,), features=8, head=zoo.Categorical(5))
      >>> x, context = zoo.example(model, batch=2)
      >>> x.shape, model.kind
      ((2, 16), 'text')
    """

    cell: ClassVar[Cell] = "gru"
