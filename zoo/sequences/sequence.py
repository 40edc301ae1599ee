"""Sequences of tokens: the base of all models that read from left to right."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from zoo.core.model import Autoregressive, Rank
from zoo.core.orderings import Ordering

Tokens = Int[Array, "batch length"]


def check_line(model: Autoregressive) -> None:
    """Raises ValueError unless the model's sites form a line, visited in order, and hold integers."""
    name = type(model).__name__
    if len(model.site_shape) != 1 or model.ordering != Ordering():
        raise ValueError(
            f"{name} needs a site_shape (length,) and reads it in order; got {model.site_shape}, "
            f"{model.ordering}."
        )
    if model.head.num_values is None or model.head.event_shape:
        raise ValueError(f"{name} reads tokens; a {type(model.head).__name__} head has none.")


class Sequence(Autoregressive):
    """A sequence of tokens, each given those before it. It may end before its last site.

    A final subclass declares, beside the fields of every model:

      end: the token that ends a sequence; after it every token is `pad` with probability 1. None
        for sequences of full length.
      pad: the token after the end, which has probability 0 before it. So the probabilities of the
        sequences of all lengths sum to 1.
      vocabulary: the text of each token; () if tokens are not text.

    The input before the first token is `start`, which no site can hold.

    Example:
      >>> import zoo
      >>> issubclass(zoo.LSTM, zoo.Sequence), issubclass(zoo.PixelCNN, zoo.Sequence)
      (True, False)
    """

    if TYPE_CHECKING:

        @property
        def end(self) -> int | None: ...
        @property
        def pad(self) -> int | None: ...
        @property
        def vocabulary(self) -> tuple[str, ...]: ...

    writes_tokens = True

    @property
    def kind(self):
        return "text"

    def example(self, batch):
        x, context = super().example(batch)
        if self.end is None:
            return x, context
        ends = (x == self.end) | (x == self.pad)
        assert self.pad is not None
        ended = jnp.pad(jnp.cumsum(ends, axis=1), ((0, 0), (1, 0)))[:, :-1] > 0  # before each token
        return jnp.where(ended, self.pad, jnp.where(ends, self.end, x)), context

    @property
    def max_length(self) -> int | None:
        """The most tokens that these weights can read, whatever the `site_shape`; None for no limit."""
        return None

    @property
    def longest(self) -> int | None:
        """The former name of `max_length`."""
        return self.max_length

    def fitted(self, variables, x):
        """As the contract says; padding, which is certain after the end, does not count."""
        x = np.asarray(x)
        return super().fitted(variables, x if self.pad is None else x[x != self.pad])

    def check(self) -> None:
        """Raises ValueError unless the sites form a line, visited in order, and `end` and `pad` are
        two of the tokens.
        """
        name = type(self).__name__
        check_line(self)
        special = [token for token in (self.end, self.pad) if token is not None]
        if (
            len(special) == 1
            or len(set(special)) != len(special)
            or not all(0 <= s < self.start for s in special)
        ):
            raise ValueError(
                f"{name}: end and pad must be two tokens of 0..{self.start - 1}, or both None; "
                f"got {self.end}, {self.pad}."
            )

    @property
    def start(self) -> int:
        """The token that stands before the first: the first integer that is no token."""
        values = self.head.num_values
        assert values is not None
        return values

    def tokens_before(self, x: Tokens) -> Tokens:
        """The token before each; `start` before the first."""
        return jnp.pad(x[:, :-1], ((0, 0), (1, 0)), constant_values=self.start)

    def token_before(self, x: Tokens, t: Rank) -> Int[Array, " batch"]:
        """The token at rank t - 1; `start` at rank 0."""
        before = jax.lax.dynamic_index_in_dim(x, jnp.maximum(t - 1, 0), 1, keepdims=False)
        return jnp.where(t > 0, before, self.start)

    def mask_after_end(
        self, logits: Float[Array, "*batch values"], before: Int[Array, "*batch"]
    ) -> Float[Array, "*batch values"]:
        """The logits, masked: after the end all mass is on `pad`, before it none. `before` holds the
        token before each.
        """
        if self.end is None or self.pad is None:
            return logits
        ended = ((before == self.end) | (before == self.pad))[..., None]
        is_pad = jnp.arange(logits.shape[-1]).reshape((1,) * before.ndim + (-1,)) == self.pad
        return jnp.where(ended == is_pad, logits, -jnp.inf)
