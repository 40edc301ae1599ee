"""Sequence to sequence with additive attention."""

from typing import ClassVar

from zoo.conditional.translator import Translator
from zoo.foundation.registry import register
from zoo.layers.context_readers import AdditiveAttention


@register
class Seq2SeqAttention(Translator):
    """Encoder-decoder with attention: at every token the decoder attends to all states of the
    encoder.

    `zoo.attention_weights` returns the alignment of a pair.

    **Reference**: D. Bahdanau, K. Cho, Y. Bengio, Neural machine translation by jointly learning to
    align and translate, ICLR 2015.

    Differs from the paper: tanh in place of maxout before the logits; the decoder's initial state
    comes from the last states of both directions.

    Attributes: those of `Translator`.

    Example:
      >>> import zoo
      >>> model = zoo.Seq2SeqAttention((6,), 8, 4, head=zoo.Categorical(9), source_values=7)
      >>> x, context = zoo.example(model, batch=2)
      >>> x.shape, model.kind
      ((2, 6), 'translation')
    """

    reader: ClassVar[type] = AdditiveAttention
    attends: ClassVar[bool] = True
