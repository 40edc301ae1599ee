"""VAE and IWAE: a Gaussian code, a decoder, and an encoder that guesses the code."""

import math

import jax
import jax.numpy as jnp

from zoo.foundation.registry import register
from zoo.heads import score
from zoo.latent.coder import Coder, log_normal


@register
class VAE(Coder):
    """Variational autoencoder; with several `weights`, the importance weighted autoencoder.

        p(x) = E p(x | z),   z ~ N(0, 1)
        q(z | x) = N(mean(x), scale(x)^2)
        bound_k = E log (1/k) sum_i w_i,   w_i = p(x | z_i) p(z_i) / q(z_i | x),   z_i ~ q(z | x)

    The bound rises with k, and meets log p(x) in the limit. Training maximises it at k = `weights`,
    `zoo.evidence` computes it at any k.

    **Reference**: D. Kingma, M. Welling, Auto-encoding variational Bayes, ICLR 2014; Y. Burda,
    R. Grosse, R. Salakhutdinov, Importance weighted autoencoders, ICLR 2016 (one stochastic layer).

    Differs from the papers: any head; class labels.

    Attributes: those of `Coder`, and
      weights: k, how many codes of each example training draws.
      resample: whether the gradient is that of one of the k codes, drawn in proportion to its w_i.
        It has the same mean, is noisier, and takes about a third of the time where k is large.
      beta: the factor of log p(z) - log q(z | x) in training. Unless it is 1, training minimises no
        bound of log p(x); `zoo.evidence` is one all the same.

    Example:
      >>> import jax, zoo
      >>> model = zoo.VAE((2, 3), latents=2, hidden=(8,))
      >>> x, _ = zoo.example(model, 5)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.evidence(model, variables, x, key=jax.random.key(1), num=100).shape
      (5,)
      >>> zoo.represent(model, variables, x).shape
      (5, 2)
    """

    weights: int = 1
    beta: float = 1.0
    resample: bool = False

    knows = "bound"
    code_params = 2  # the mean and the log of the scale

    @property
    def draws(self):
        return self.weights

    def represent(self, x, memory=None):
        return self._posterior(x, memory)[0]

    def log_weights(self, x, memory, num):
        q = self._posterior(x, memory)
        return self._weigh(x, memory, q, self._noise(q, num), 1.0)

    def training_loss(self, x, memory=None):
        q = self._posterior(x, memory)
        noise = self._noise(q, self.weights)
        weights = self._weigh(x, memory, q, noise, self.beta)  # [weights, batch]
        loss = math.log(self.weights) - jax.nn.logsumexp(weights, axis=0)
        if not self.resample:
            return loss
        # The gradient of the loss is minus the mean of the gradients of all weights by the odds
        # exp(weights); so is, in the mean, that of one weight drawn by these odds.
        drawn = jax.random.categorical(self.make_rng("noise"), weights, axis=0)
        one = noise[drawn, jnp.arange(len(x))][None]
        weight = self._weigh(x, memory, q, one, self.beta)[0]
        fixed = jax.lax.stop_gradient
        return fixed(loss) - (weight - fixed(weight))

    def _posterior(self, x, memory):
        """The mean and the log of the scale of q(z | x), [batch, latents] each."""
        mean, log_scale = jnp.split(self.code(x, memory), 2, axis=-1)
        return mean, log_scale

    def _noise(self, q, num):
        return jax.random.normal(self.make_rng("noise"), (num, *q[0].shape))

    def _weigh(self, x, memory, q, noise, beta):
        """log p(x | z) + beta (log p(z) - log q(z | x)) for z = mean + scale noise, [num, batch]."""
        mean, log_scale = q
        z = mean[None] + jnp.exp(log_scale)[None] * noise  # [num, batch, latents]
        log_q = log_normal(noise) - log_scale.sum(-1)[None]
        likelihood = score(self.head, self.decode(z, memory), x)
        return likelihood + beta * (log_normal(z) - log_q)
