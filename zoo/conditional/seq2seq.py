"""Sequence to sequence without attention."""

from typing import ClassVar

from zoo.conditional.translator import Translator
from zoo.foundation.registry import register
from zoo.layers.context_readers import FixedContext


@register
class Seq2Seq(Translator):
    """Encoder-decoder without attention: the decoder sees the encoder's last state of each direction.

    **References**: K. Cho et al., Learning phrase representations using RNN encoder-decoder for
    statistical machine translation, EMNLP 2014; I. Sutskever, O. Vinyals, Q. Le, Sequence to
    sequence learning with neural networks, NIPS 2014.

    Differs from the papers: a bidirectional encoder; tanh in place of maxout before the logits
    (Cho); one layer (Sutskever).

    Attributes: those of `Translator`.

    Example:
      >>> import zoo
      >>> model = zoo.Seq2Seq((6,), 8, 4, head=zoo.Categorical(9), source_values=7)
      >>> x, context = zoo.example(model, batch=2)
      >>> x.shape, model.kind
      ((2, 6), 'translation')
    """

    reader: ClassVar[type] = FixedContext
