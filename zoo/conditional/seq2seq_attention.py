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
    """

    reader: ClassVar[type] = AdditiveAttention
    attends: ClassVar[bool] = True
