"""Autoencoder: the code of an example, and the example from its code."""

from zoo.foundation.registry import register
from zoo.heads import score
from zoo.latent.coder import Coder


@register
class Autoencoder(Coder):
    """A network squeezes an example into a short code, and another restores it.

        z = encoder(x),   loss = -log p(x | z)

    It knows nothing of log p(x), and is no generator: nothing in its training says which codes
    occur. What it is good for is the code (`zoo.represent`) and the reconstruction (`zoo.decode` of
    the code). `sample.draw` decodes z ~ N(0, 1), which shows how little such codes mean.

    **Reference**: G. Hinton, R. Salakhutdinov, Reducing the dimensionality of data with neural
    networks, Science 2006.

    Differs from the paper: trained as a whole from the start, not layer by layer; any head.

    Attributes: those of `Coder`.

    Example:
      >>> import jax, zoo
      >>> model = zoo.Autoencoder((2, 3), latents=2, hidden=(8,))
      >>> x, _ = zoo.example(model, 5)
      >>> variables = zoo.init(model, jax.random.key(0), x)
      >>> zoo.represent(model, variables, x).shape
      (5, 2)
    """

    latents: int = 32
    hidden: tuple[int, ...] = (500,)

    knows = "none"
    watched = "reconstruction"

    def represent(self, x, memory=None):
        return self.code(x, memory)

    def training_loss(self, x, memory=None):
        """-log p(x | z), nats: the error of the reconstruction."""
        return -score(self.head, self.decode(self.code(x, memory), memory), x)
