"""Pixel Transformer: attention over all earlier pixels."""

from typing import ClassVar, Literal

import flax.linen as nn
import jax.numpy as jnp

from zoo.core.orderings import Ordering
from zoo.foundation.registry import register
from zoo.heads import Bernoulli, Head
from zoo.images.raster import Raster
from zoo.layers import class_labels, value_before
from zoo.layers.attention import Block, CausalAttention, LayerNorm
from zoo.layers.convolutions import InputConv
from zoo.layers.linear import Dense


@register
class PixelTransformer(Raster):
    """A decoder-only Transformer over the raster, with a token for every site: p(x_t | x_<t) from
    token t of the last layer.

    Token t is an embedding of x_{t-1}, plus a convolution with mask A around site t, plus embeddings
    of its row and of its column (and colour). Layers are pre-norm: h += attention(norm(h)),
    h += mlp(norm(h)).

    Sampling keeps the keys and values of every layer (zoo/layers/key_value_caches.py).

    **References**: M. Chen et al., Generative pretraining from pixels, ICML 2020 (full attention);
    R. Child, S. Gray, A. Radford, I. Sutskever, Generating long sequences with sparse transformers,
    2019 (strided attention).

    Differs from the papers: the convolution, which gives the first layer the neighbours of a pixel;
    values enter scaled to [-1, 1] instead of as a table of embeddings. In the strided form each head
    sees both the row and the column.

    Attributes:
      site_shape: (height, width), or (height, width, 3) with a site for each colour.
      features: of a token, in all heads together.
      layers: attention and mlp layers.
      heads: attention heads.
      kernel_size: the kernel size of the convolution, odd.
      attention: `full`, or `strided`: a row's length of tokens, and the column above.
      dropout: the rate at which the outputs of attention and mlp are dropped in training.
      num_classes: the number of labels that the model is conditional on; 0 for an unconditional
        model.
      head: the distribution of one site.
      ordering: the raster; the convolution allows no other.

    Example:
      >>> import zoo
      >>> model = zoo.PixelTransformer((8, 8), features=8, layers=2)
      >>> x, context = zoo.example(model, batch=2)
      >>> x.shape, model.kind
      ((2, 8, 8), 'images')
    """

    site_shape: tuple[int, ...] = (28, 28)
    features: int = 64
    layers: int = 8
    heads: int = 2
    kernel_size: int = 7
    attention: Literal["full", "strided"] = "full"
    dropout: float = 0.0
    num_classes: int = 0
    head: Head = Bernoulli()
    ordering: Ordering = Ordering()

    output_bias: ClassVar[str | None] = "params_of/bias"

    def setup(self):
        self.check()
        g, d, init = self.groups, self.features, nn.initializers.normal(0.02)
        self.around = InputConv(g, g * d, (self.kernel_size,) * 2, "A", g)
        self.before = Dense(d, use_bias=False)
        self.row_embedding = self.param("row", init, (self.site_shape[0], d))
        self.position_embedding = self.param("place", init, (self.block, d))  # within a row
        stride = self.block if self.attention == "strided" else 0
        attentions = [
            CausalAttention(d, self.heads, self.num_sites, stride) for _ in range(self.layers)
        ]
        self.blocks = [Block(attention, self.dropout) for attention in attentions]
        self.norm = LayerNorm()
        self.output_layer = Dense(self.head.num_params, name="params_of")
        if self.num_classes:
            self.label = Dense(d, use_bias=False)

    def encode(self, context):
        """Labels [batch] to an embedding that is added to every token, [batch, features]."""
        if not self.num_classes:
            return None
        return self.label(class_labels.one_hot(context, self.num_classes, self.row_embedding.dtype))

    def __call__(self, x, memory=None, *, train=False):
        image = self.image(x)
        around = self.around(image).reshape(len(x), self.num_sites, self.features)
        values = self.head.features(x.reshape(len(x), self.num_sites)).astype(around.dtype)
        before = self.before(jnp.pad(values, ((0, 0), (1, 0), (0, 0)))[:, :-1])
        position = self.row_embedding[:, None] + self.position_embedding[None]  # [rows, block, d]
        position = position.reshape(1, self.num_sites, -1)
        h = around + before + position + (0 if memory is None else memory[:, None])
        for block in self.blocks:
            h = block(h, train=train)
        params = self.output_layer(self.norm(h))  # [batch, sites, num_params]
        return params.reshape(len(x), *self.site_shape, self.head.num_params)

    def enter(self, x, t, memory=None):
        self.around.enter(self.image(x), self.row(t))

    def step(self, x, t, memory=None):
        row, (column, group) = self.row(t), self.place(t)
        before = value_before(x, t, self.sites, self.head).astype(self.row_embedding.dtype)
        h = self.around.step(self.image(x), row, column, group) + self.before(before)  # [batch, d]
        position = self.position_embedding[column * self.groups + group]
        h = h + (self.row_embedding[row] + position)[None]
        h = h if memory is None else h + memory
        for block in self.blocks:
            h = block.step(h, t)
        return self.output_layer(self.norm(h))
