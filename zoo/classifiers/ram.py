"""The recurrent attention model: a classifier that sees an image by a few small glimpses."""

import functools
from typing import ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from zoo.classifiers.classifier import Classifier
from zoo.classifiers.glimpses import glimpse
from zoo.classifiers.shifts import shifted
from zoo.core.checks import check_context, check_variables
from zoo.core.model import Variables, site_params
from zoo.foundation.arguments import checked
from zoo.foundation.precision import full_float32, narrowed, without_x64
from zoo.foundation.registry import register

SLOW = 0.3
"""Steps of Adam have the same size however noisy the gradient: at 1, means drift to the border of the
image, where the tanh is flat, before the locator has learned anything.
"""


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
        m  = tanh(SLOW M relu(N h'))                   locator: mean of the next place
        l' = m + noise                                 the next place, at most 1 from the centre
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
        mean = jnp.tanh(SLOW * dense(2, "locator")(hidden)).astype(jnp.float32)
        chosen = jax.lax.stop_gradient(mean) + noise
        # log N(chosen; mean, spread^2) without its constant: its gradient goes into the mean alone.
        log_density = -jnp.square(chosen - mean).sum(-1) / (2 * self.spread**2)
        baseline = dense(1, "baseline")(known)[:, 0].astype(jnp.float32)
        return Look(state, jnp.clip(chosen, -1, 1)), Choice(place, log_density, baseline)


@register
class RAM(Classifier):
    """p(label | image) from a few glimpses, each at a place that depends on those before.

    The first place l_1 is the centre of the image. In training the others are drawn around the means
    m_t that the locator gives, and it learns by REINFORCE with a learned baseline b_t: with
    R = p(label | image, places),

        gradient of E[R] = E[ sum_t (R - b_t) grad log N(l_t; m_t, spread^2) ].

    The rest of the network minimises -log p(label | image, places), which is also the value of
    `training_loss`. In evaluation and sampling every place is its mean, l_t = m_t, so that the
    likelihood is a function of the image.

    **Reference**: V. Mnih, N. Heess, A. Graves, K. Kavukcuoglu, Recurrent models of visual
    attention, NeurIPS 2014.

    Differs from the paper: R is the probability that a label drawn from the model is right, where
    the paper takes whether one is; the locator has a hidden layer; places are not rounded to
    pixels, for glimpses are interpolated; the state before the first glimpse is learned.

    Attributes: those of `Classifier`, and
      glimpses: how many glimpses are taken.
      glimpse_size: pixels of a side of the smallest patch, and values of a side of every patch.
      scales: the number of patches in a glimpse; each has twice the side of the one before.
      features: units of the core.
      hidden: units of each hidden layer of the glimpse network and of the locator.
      spread: standard deviation of a place in training, where an image reaches from -1 to 1.
      shift: the most pixels by which an image is moved in training.

    Example:
      >>> import zoo
      >>> model = zoo.RAM(image_shape=(12, 12), glimpses=3, glimpse_size=4, head=zoo.Categorical(5))
      >>> x, images = zoo.example(model, batch=2)
      >>> x.shape, images.shape, model.kind
      ((2, 1), (2, 12, 12), 'labels')
    """

    takes_glimpses: ClassVar[bool] = True

    glimpses: int = 6
    glimpse_size: int = 8
    scales: int = 1
    features: int = 256
    hidden: int = 128
    spread: float = 0.15
    shift: int = 0

    def setup(self):
        super().setup()
        self.one_label()
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
        self.linear = nn.Dense(self.head.num_params, use_bias=False)

    def check(self):
        super().check()
        height, width = self.image_shape[:2]
        name, largest = type(self).__name__, self.sides[-1]
        if largest > min(height, width):
            raise ValueError(
                f"{name}: the largest patch of a glimpse has a side of glimpse_size * "
                f"2^(scales - 1) = {largest} pixels, more than the {height}x{width} image: choose "
                f"a smaller glimpse_size ({self.glimpse_size}) or fewer scales ({self.scales})."
            )
        if self.spread == 0:
            raise ValueError(f"{name} needs a spread above 0: it learns places by varying them.")

    @property
    def sides(self) -> tuple[int, ...]:
        """The side of each patch of a glimpse, in pixels."""
        return tuple(self.glimpse_size * 2**s for s in range(self.scales))

    def encode(self, context):
        """Images to float32 in [0, 1], [batch, channels, height, width]."""
        images = context.reshape(len(context), *self.image_shape[:2], -1)  # grey: one channel
        if self.in_training and self.shift:
            images = shifted(images, self.shift, self.make_rng("train"))
        return jnp.moveaxis(images, -1, 1).astype(jnp.float32) / 255

    def look(
        self,
        images: Float[Array, "batch channels height width"],
        noise: Float[Array, "glimpses batch 2"] | None = None,
    ) -> tuple[Float[Array, "batch 1 p"], Choice]:
        """Takes all glimpses.

        Args:
          images: what `encode` gives.
          noise: what is added to the mean of each next place, None for nothing; that of the last is
            not used.

        Returns:
          (params of the label, the choices of places, each with [batch, glimpses] in front).
        """
        batch = len(images)
        if noise is None:
            noise = jnp.zeros((self.glimpses, batch, 2), jnp.float32)
        start = jnp.broadcast_to(self.start[None], (batch, self.features))
        first = Look(start, place=jnp.zeros((batch, 2), jnp.float32))
        last, choices = self.glance(first, noise, images)
        return (self.linear(last.state) + self.bias[None])[:, None], choices

    def noise(self, batch: int) -> Float[Array, "glimpses batch 2"]:
        """The noise of all places in training (rng stream "train")."""
        shape = (self.glimpses, batch, 2)
        return self.spread * jax.random.normal(self.make_rng("train"), shape, jnp.float32)

    def __call__(self, x, memory=None, *, train=False):
        return self.look(memory, self.noise(len(memory)) if train else None)[0]

    def step(self, x, t, memory=None):
        return site_params(self, self(x, memory), t)

    def training_loss(self, x, memory=None):
        params, choices = self.look(memory, self.noise(len(memory)))
        log_prob = self.head.log_prob(params, x).sum(-1)  # [batch]
        reward = jnp.exp(jax.lax.stop_gradient(log_prob))[:, None]
        # The last choice is of a glimpse that nobody takes.
        log_density, baseline = choices.log_density[:, :-1], choices.baseline[:, :-1]
        advantage = jax.lax.stop_gradient(reward - baseline)
        surrogate = (jnp.square(reward - baseline) - advantage * log_density).sum(-1)
        # Its gradient counts, its value does not: what is reported stays -log p.
        return surrogate - jax.lax.stop_gradient(surrogate) - log_prob


@checked()
@without_x64
def glimpse_centres(
    model: Classifier, variables: Variables, context: PyTree
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
      >>> model = zoo.RAM(image_shape=(12, 12), glimpses=3, glimpse_size=4)
      >>> x, images = zoo.example(model, batch=2)
      >>> variables = zoo.init(model, jax.random.key(0), x, images)
      >>> centres = zoo.glimpse_centres(model, variables, images)
      >>> centres.shape, centres[0, 0].tolist()  # the first is in the centre of the image
      ((2, 3, 2), [6.0, 6.0])
    """
    if not getattr(model, "takes_glimpses", False):
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
