"""The recurrent attention model: a classifier that sees an image by a few small glimpses."""

import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from zoo.classifiers.glimpses import glimpse
from zoo.core.checks import check_context, check_variables
from zoo.core.model import Autoregressive, Variables
from zoo.core.orderings import Ordering
from zoo.foundation.arguments import checked
from zoo.foundation.precision import full_float32, narrowed, without_x64
from zoo.foundation.registry import register
from zoo.heads import Categorical, Head


class Look(NamedTuple):
    """One glimpse: the state before it, and where it is taken.

    Attributes:
      state: of the core, [batch, features].
      place: (row, column) of the centre in [-1, 1], [batch, 2]; (0, 0) is the centre of the image.
    """

    state: Float[Array, "batch features"]
    place: Float[Array, "batch 2"]


class Choice(NamedTuple):
    """How the place of the next glimpse was chosen.

    Attributes:
      place: of this glimpse, [batch, 2].
      log_density: of the next place given its mean, up to a constant, [batch].
      baseline: the expected reward, as the network estimates it, [batch].
    """

    place: Float[Array, "batch 2"]
    log_density: Float[Array, " batch"]
    baseline: Float[Array, " batch"]


class Glance(nn.Module):
    """The network of one glimpse: with v the values seen at the place l, and h the state,

        g  = relu(W_v relu(V v) + W_l relu(L l))       glimpse network
        h' = relu(U h + W g)                           core
        m  = tanh(M relu(N h')),    l' = m + noise     locator: mean of the next place, and place
        b  = B h'                                      baseline

    No gradient goes from m, b or l into h: the core learns from the classifier alone.

    Attributes:
      cells, scales: of a glimpse.
      features: units of the core.
      hidden: units of each hidden layer of the glimpse network and of the locator.
      spread: standard deviation of the noise.
    """

    cells: int
    scales: int
    features: int
    hidden: int
    spread: float

    @nn.compact
    def __call__(self, look: Look, noise: Array, images: Array) -> tuple[Look, Choice]:
        def dense(size, name):
            return nn.Dense(size, name=name)

        state, place = look
        dtype = state.dtype
        sides = jnp.array(images.shape[2:], jnp.float32)
        seen = glimpse(images, (place + 1) / 2 * sides[None], self.cells, self.scales)
        what = nn.relu(dense(self.hidden, "what_hidden")(seen.astype(dtype)))
        where = nn.relu(dense(self.hidden, "where_hidden")(place.astype(dtype)))
        g = nn.relu(dense(self.features, "what")(what) + dense(self.features, "where")(where))
        state = nn.relu(dense(self.features, "state")(state) + dense(self.features, "seen")(g))

        known = jax.lax.stop_gradient(state)
        hidden = nn.relu(dense(self.hidden, "locator_hidden")(known))
        mean = jnp.tanh(dense(2, "locator")(hidden)).astype(jnp.float32)
        chosen = jax.lax.stop_gradient(mean) + noise
        # log N(chosen; mean, spread^2) without its constant: its gradient goes into the mean alone.
        log_density = -jnp.square(chosen - mean).sum(-1) / (2 * self.spread**2)
        baseline = dense(1, "baseline")(known)[:, 0].astype(jnp.float32)
        return Look(state, jnp.clip(chosen, -1, 1)), Choice(place, log_density, baseline)


@register
class RAM(Autoregressive):
    """p(label | image) from a few glimpses, each at a place that depends on those before.

    In training the places are drawn around the means that the locator gives, and learned by
    REINFORCE with a learned baseline b_t: with R = 1 if the likeliest label is right, else 0,

        gradient of E[R] = E[ sum_t (R - b_t) grad log N(l_t; m_t, spread^2) ].

    The rest of the network minimises -log p(label | image, places), which is also the value of
    `training_loss`. In evaluation and sampling every place is its mean, so that the likelihood is a
    function of the image: the model is p(label | image, l_t = m_t for all t).

    **Reference**: V. Mnih, N. Heess, A. Graves, K. Kavukcuoglu, Recurrent models of visual
    attention, NeurIPS 2014.

    Differs from the paper: the locator has a hidden layer, the first glimpse is in the centre, the
    state before it is learned, and places are not rounded to pixels: glimpses are interpolated.

    Attributes:
      site_shape: (1,), the label.
      glimpses: how many glimpses are taken.
      glimpse_size: pixels of a side of the smallest patch, and values of a side of every patch.
      scales: the number of patches in a glimpse; each has twice the side of the one before.
      features: units of the core.
      hidden: units of each hidden layer of the glimpse network and of the locator.
      spread: standard deviation of a place in training, where an image reaches from -1 to 1.
      image_shape: (height, width), or (height, width, 3) in colour.
      head: the distribution of the label.
      ordering: of the one site.

    Example:
      >>> import zoo
      >>> model = zoo.RAM(glimpses=3, glimpse_size=4, image_shape=(12, 12), head=zoo.Categorical(5))
      >>> x, images = zoo.example(model, batch=2)
      >>> x.shape, images.shape, model.kind
      ((2, 1), (2, 12, 12), 'labels')
    """

    site_shape: tuple[int, ...] = (1,)
    glimpses: int = 6
    glimpse_size: int = 8
    scales: int = 1
    features: int = 256
    hidden: int = 128
    spread: float = 0.05
    image_shape: tuple[int, ...] = (28, 28)
    head: Head = Categorical(10)
    ordering: Ordering = Ordering()

    def setup(self):
        self.check()
        scan = nn.scan(
            Glance,
            variable_broadcast="params",
            split_rngs={"params": False},
            in_axes=(0, nn.broadcast),
            out_axes=1,
        )
        sizes = (self.glimpse_size, self.scales, self.features, self.hidden, self.spread)
        self.glance = scan(*sizes)
        self.start = self.param("start", nn.initializers.zeros, (self.features,))
        self.output_layer = nn.Dense(self.head.num_params)

    def check(self) -> None:
        """Raises ValueError, in one line, unless the glimpses fit into the image."""
        name, largest = type(self).__name__, self.glimpse_size * 2 ** (self.scales - 1)
        if self.site_shape != (1,) or self.head.num_values is None:
            raise ValueError(
                f"{name} gives one label: it needs site_shape (1,) and a head with a number of "
                f"values, such as Categorical(10); got {self.site_shape} and {self.head}."
            )
        if len(self.image_shape) not in (2, 3) or self.image_shape[2:] not in ((), (3,)):
            raise ValueError(
                f"{name} needs an image_shape (height, width) or (height, width, 3); got "
                f"{self.image_shape}."
            )
        if largest > min(self.image_shape[:2]):
            height, width = self.image_shape[:2]
            raise ValueError(
                f"{name}: the largest patch of a glimpse has a side of glimpse_size * "
                f"2^(scales - 1) = {largest} pixels, more than the {height}x{width} image: choose "
                f"a smaller glimpse_size ({self.glimpse_size}) or fewer scales ({self.scales})."
            )
        if self.spread == 0:
            raise ValueError(f"{name} needs a spread above 0: it learns places by varying them.")

    def encode(self, context):
        """Images to float32 in [0, 1], [batch, channels, height, width]."""
        images = context.reshape(*context.shape[:3], -1)  # grey: one channel
        return jnp.moveaxis(images, -1, 1).astype(jnp.float32) / 255

    def look(self, memory: Array, *, train: bool = False) -> tuple[Array, Choice]:
        """Takes all glimpses: params [batch, 1, num_params], and the choices of places, each with
        [batch, glimpses] in front.
        """
        batch = len(memory)
        noise = jnp.zeros((self.glimpses, batch, 2), jnp.float32)
        if train:
            noise = self.spread * jax.random.normal(self.make_rng("train"), noise.shape)
        start = jnp.broadcast_to(self.start[None], (batch, self.features))
        centre = jnp.zeros((batch, 2), jnp.float32)
        last, choices = self.glance(Look(start, centre), noise, memory)
        return self.output_layer(last.state)[:, None], choices

    def __call__(self, x, memory=None, *, train=False):
        return self.look(memory, train=train)[0]

    def training_loss(self, x, memory=None):
        params, choices = self.look(memory, train=True)
        reward = (self.likeliest(params) == x).all(-1).astype(jnp.float32)[:, None]
        # The last choice is of a glimpse that nobody takes.
        log_density, baseline = choices.log_density[:, :-1], choices.baseline[:, :-1]
        advantage = jax.lax.stop_gradient(reward - baseline)
        surrogate = jnp.square(reward - baseline) - advantage * log_density
        surrogate = surrogate.sum(-1)
        # Its gradient counts, its value does not: what is reported stays -log p.
        without_value = surrogate - jax.lax.stop_gradient(surrogate)
        return without_value - self.head.log_prob(params, x).sum(-1)

    def likeliest(self, params: Float[Array, "batch 1 p"]) -> Array:
        """The likeliest label of each image, [batch, 1]."""
        values = jnp.arange(self.head.num_values, dtype=self.head.dtype)[None]
        shape = (len(params), self.head.num_values)
        each = jnp.broadcast_to(params, (*shape, params.shape[-1]))
        return self.head.log_prob(each, jnp.broadcast_to(values, shape)).argmax(-1)[:, None]

    def why_invalid(self, context):
        shape = ", ".join(map(str, self.image_shape))
        wanted = f"expected images, integers 0..255 of shape [batch, {shape}]"
        if context is None:
            return f"{wanted}; got none"
        images = np.asarray(context)
        if images.shape[1:] != tuple(self.image_shape) or not np.issubdtype(
            images.dtype, np.integer
        ):
            return f"{wanted}; got {images.dtype} of shape {list(images.shape)}"
        if images.size and (images.min() < 0 or images.max() > 255):
            return f"{wanted}; got values from {images.min()} to {images.max()}"
        return None

    @property
    def kind(self):
        return "labels"

    def example(self, batch):
        images = (
            np.random.RandomState(1).randint(0, 256, (batch, *self.image_shape)).astype(np.uint8)
        )
        return super().example(batch)[0], images


@checked()
@without_x64
def glimpse_centres(
    model: RAM, variables: Variables, context: PyTree
) -> Float[Array, "batch glimpses 2"]:
    """Where the model looks in each image: (row, column) of the centre of each glimpse, in pixels.

    Args:
      model: a model that takes glimpses.
      variables: its variables.
      context: images [batch, *image_shape], integers 0..255.

    Raises:
      ValueError: the model takes no glimpses, or the images do not fit it.

    Example:
      >>> import jax, zoo
      >>> model = zoo.RAM(glimpses=3, glimpse_size=4, image_shape=(12, 12))
      >>> x, images = zoo.example(model, batch=2)
      >>> variables = zoo.init(model, jax.random.key(0), x, images)
      >>> centres = zoo.glimpse_centres(model, variables, images)
      >>> centres.shape, centres[0, 0].tolist()  # the first is in the centre of the image
      ((2, 3, 2), [6.0, 6.0])
    """
    if not hasattr(model, "glimpses"):
        raise ValueError(f"{type(model).__name__} takes no glimpses: pass a zoo.RAM.")
    check_context(model, context)
    check_variables(model, variables, context)
    return _glimpse_centres(model, variables, narrowed(context))


@functools.partial(jax.jit, static_argnums=0)
@full_float32
def _glimpse_centres(model, variables, context):
    def places(model, context):
        return model.look(model.encode(context))[1].place

    sides = jnp.array(model.image_shape[:2], jnp.float32)
    return (model.apply(variables, context, method=places) + 1) / 2 * sides[None, None]
