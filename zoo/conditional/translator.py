"""The base of translation models: the encoder of the source sentence."""

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from zoo.conditional.encoder_decoder import Encoded, EncoderDecoder
from zoo.layers.cells import Cell
from zoo.layers.recurrent_layer import RecurrentLayer


class BidirectionalEncoder(nn.Module):
    """Two recurrent layers, one from the left and one from the right, so that the annotation of a
    place depends on all tokens.

    Padding at the end of a row changes nothing: the layer from the right is reset at the last token.

    Attributes:
      features: units of each direction.
      cell: the recurrent cell.
    """

    features: int
    cell: Cell

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch places f"], mask: Bool[Array, "batch places"]
    ) -> Encoded:
        right, left = (
            RecurrentLayer(self.features, self.cell, name=name) for name in ("right", "left")
        )
        zeros, last = right.zeros(len(x)), jnp.maximum(mask.sum(1) - 1, 0)
        places = x.swapaxes(0, 1)  # [places, batch, f]
        forward, _ = right(places, zeros, None, zeros)  # [places, batch, features]
        is_last = jnp.arange(x.shape[1])[:, None] == last[None]  # [places, batch]
        backward, _ = left(jnp.flip(places, 0), zeros, jnp.flip(is_last, 0), zeros)
        values = jnp.concatenate([forward, jnp.flip(backward, 0)], axis=-1).swapaxes(0, 1)
        at_last = jnp.take_along_axis(forward, last[None, :, None], axis=0)[0]
        return Encoded(values, mask, jnp.concatenate([at_last, backward[-1]], axis=-1))


class Translator(EncoderDecoder):
    """p(x | source): a bidirectional encoder reads the source, int tokens [batch, places] with
    padding at the end.

    The weights do not depend on the length of the source.

    Attributes: those of `EncoderDecoder`, and
      source_values: the number of different source tokens.
      source_pad: the token that pads a source.
      source_vocabulary: the text of each source token.

    Example:
      >>> import zoo
      >>> issubclass(zoo.Seq2SeqAttention, zoo.Translator)
      True
    """

    encoder_fields: ClassVar[tuple[str, ...]] = ("cell", "unit", "source_vocabulary")

    source_values: int = 256
    source_pad: int = 0
    source_vocabulary: tuple[str, ...] = ()

    def setup(self):
        super().setup()
        self.embed_source = self.param(
            "source_embedding", nn.initializers.normal(1.0), (self.source_values, self.embedding)
        )
        self.encoder = BidirectionalEncoder(self.features, self.cell)

    @property
    def width(self):
        return 2 * self.features

    def encoded(self, context):
        # A traced token cannot be refused, so one out of range gives NaN.
        inside = (context >= 0) & (context < self.source_values)
        embedded = jnp.where(inside[..., None], self.embed_source[context], jnp.nan)
        x = self.drop(embedded, deterministic=not self.has_rng("train"))
        return self.encoder(x, context != self.source_pad)

    def why_invalid(self, context):
        wanted = f"expected integer tokens 0..{self.source_values - 1}, shape [batch, places]"
        if context is None:
            return f"{wanted}; got none"
        source = np.asarray(context)
        if source.ndim != 2 or not np.issubdtype(source.dtype, np.integer):
            return f"{wanted}; got {source.dtype} of shape {list(source.shape)}"
        if source.size and (source.min() < 0 or source.max() >= self.source_values):
            return f"{wanted}; got values from {source.min()} to {source.max()}"
        there = source != self.source_pad
        if not there.any(1).all():
            return f"source {int((~there.any(1)).argmax())} is empty"
        if (there[:, 1:] & ~there[:, :-1]).any():
            return f"padding ({self.source_pad}) may only stand at the end of a source"
        return None

    @property
    def kind(self):
        return "translation"

    def example(self, batch):
        places, random = 5, np.random.RandomState(1)
        source = random.randint(0, self.source_values - 1, (batch, places)).astype(np.int32)
        source += source >= self.source_pad
        lengths = 1 + np.arange(batch) * 3 % places
        padding = np.arange(places) >= lengths[:, None]
        return super().example(batch)[0], np.where(padding, np.int32(self.source_pad), source)
