"""Models in PyTorch with our weights, for comparison. Needs the `bench` extra."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from flax.traverse_util import flatten_dict
from torch import Tensor

from benchmarks.torch_twins.pixels import NETWORKS
from benchmarks.torch_twins.text import MODULES
from zoo.core.model import Autoregressive, Variables


class Twin(NamedTuple):
    """A network in PyTorch with the weights of one of our models.

    Attributes:
      nats: function from values [batch, *site_shape] to their mean -log p(x) in nats, a tensor.
      parameters: its weights.
      draw: function from a batch size to samples [batch, length], with the usual cache or state;
        None for pixels.
      module: for characters, the module of `benchmarks.torch_twins.text`.
    """

    nats: Callable[[np.ndarray], Tensor]
    parameters: list[Tensor]
    draw: Callable[[int], Tensor] | None = None
    module: torch.nn.Module | None = None

    def score(self, x: np.ndarray) -> Tensor:
        """Computes `nats` without gradients and without dropout."""
        if self.module is not None:
            self.module.eval()
        with torch.inference_mode():
            return self.nats(x)

    def training(self, clip: float = 1.0, ema: float = 0.99) -> Callable[[np.ndarray], float]:
        """Returns a function that makes one update as ours does, with dropout, clipping by the
        global norm, AdamW and a running average of the weights; it returns the loss.
        """
        adam = torch.optim.AdamW(self.parameters, lr=1e-3, fused=True)
        average = [weight.detach().clone() for weight in self.parameters]

        def step(x):
            if self.module is not None:
                self.module.train()
            adam.zero_grad()
            nats = self.nats(x)
            nats.backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(self.parameters, clip)
            adam.step()
            with torch.no_grad():
                torch._foreach_lerp_(average, self.parameters, 1 - ema)
            return nats.item()

        return step


def twin(model: Autoregressive, variables: Variables) -> Twin:
    """Returns the twin of a model of binary images or of characters.

    Raises:
      ValueError: this class of models has no twin.
    """
    if type(model) not in {**NETWORKS, **MODULES}:
        names = ", ".join(kind.__name__ for kind in (*NETWORKS, *MODULES))
        raise ValueError(f"{type(model).__name__} has no PyTorch twin; these have one: {names}.")
    weights = {
        name: torch.tensor(np.asarray(leaf))
        for name, leaf in flatten_dict(variables["params"], sep="/").items()
    }
    if type(model) in MODULES:
        module = MODULES[type(model)](model, weights)
        length = model.num_sites

        def of_text(x):
            x = torch.from_numpy(np.asarray(x, np.int64))
            logits, _ = module(F.pad(x[:, :-1], (1, 0), value=module.start))
            return F.cross_entropy(logits.flatten(0, 1), x.flatten(), reduction="sum") / len(x)

        return Twin(
            of_text, list(module.parameters()), lambda batch: _draw(module, batch, length), module
        )

    for weight in weights.values():
        weight.requires_grad_()

    def of_pixels(bits):
        x = torch.from_numpy(np.asarray(bits, np.float32))[:, None]
        logits = NETWORKS[type(model)](
            model, weights, (2 * x - 1).contiguous(memory_format=torch.channels_last)
        )
        return F.binary_cross_entropy_with_logits(logits, x[:, 0], reduction="sum") / len(x)

    return Twin(of_pixels, list(weights.values()))


@torch.inference_mode()
def _draw(module, batch, length):
    module.eval()
    before, cache, drawn = torch.full((batch, 1), module.start), None, []
    for _ in range(length):
        logits, cache = module(before, cache)
        before = torch.multinomial(logits[:, -1].softmax(-1), 1)
        drawn.append(before)
    return torch.cat(drawn, 1)
