"""The catalogue: every model by name, in the paper's size and in a tiny one whose whole space can
be enumerated.
"""

import dataclasses
import difflib
from collections.abc import Callable
from typing import Any

from jaxtyping import PyTree

from zoo.classifiers.cnn import CNN
from zoo.classifiers.frames import Frames
from zoo.classifiers.probe import Probe
from zoo.classifiers.ram import RAM
from zoo.conditional.captioner import Captioner
from zoo.conditional.seq2seq import Seq2Seq
from zoo.conditional.seq2seq_attention import Seq2SeqAttention
from zoo.conditional.show_attend_tell import ShowAttendTell
from zoo.core.generative import Generative, Values
from zoo.core.orderings import Ordering
from zoo.dense.eonade import EoNADE
from zoo.dense.fvsbn import FVSBN
from zoo.dense.made import MADE
from zoo.dense.nade import NADE
from zoo.dense.rnade import RNADE
from zoo.foundation.arguments import checked
from zoo.heads import (
    Bernoulli,
    Categorical,
    DiscretizedLogisticMixture,
    MixtureOfGaussians,
    MixtureOfLaplacians,
)
from zoo.images.diagonal_bilstm import DiagonalBiLSTM
from zoo.images.gated_pixel_cnn import GatedPixelCNN
from zoo.images.pixel_cnn import PixelCNN
from zoo.images.pixel_cnn_pp import PixelCNNpp
from zoo.images.pixel_transformer import PixelTransformer
from zoo.images.row_lstm import RowLSTM
from zoo.latent.autoencoder import Autoencoder
from zoo.latent.diffusion import Diffusion
from zoo.latent.draw_network import DRAW
from zoo.latent.gan import GAN
from zoo.latent.maf import MAF
from zoo.latent.vae import VAE
from zoo.sequences.attention_lstm import AttentionLSTM
from zoo.sequences.gru import GRU
from zoo.sequences.lstm import LSTM
from zoo.sequences.rnn import RNN
from zoo.sequences.transformer import Transformer
from zoo.sequences.wavenet import WaveNet


@dataclasses.dataclass(frozen=True)
class Entry:
    """One model of the catalogue.

    Attributes:
      paper: the configuration of the paper.
      tiny: a small instance, on which the conformance suite proves the contract.
      blind: for the tiny instance, how many pairs of an earlier and a later rank do not depend on
        each other although the ordering would allow it (0: every allowed dependence exists).
      example: (model, batch) -> (x, context), valid inputs for any instance.

    Example:
      >>> import zoo
      >>> zoo.CATALOGUE["fvsbn"].tiny.site_shape
      (2, 4)
    """

    paper: Any
    tiny: Any
    blind: int = 0
    example: Callable = lambda model, batch: model.example(batch)


CATALOGUE: dict[str, Entry] = {
    "fvsbn": Entry(FVSBN(), FVSBN((2, 4))),
    "nade": Entry(NADE(), NADE((2, 4), hidden=5, ordering=Ordering("random", seed=1))),
    "nade_categorical": Entry(
        NADE((8, 8), head=Categorical(17)),
        NADE((2, 2), hidden=5, head=Categorical(3), ordering=Ordering("random", seed=1)),
    ),
    "rnade": Entry(
        RNADE(),
        RNADE((2,), hidden=5, head=MixtureOfGaussians(3, 0.3), ordering=Ordering("reversed")),
    ),
    "eonade": Entry(
        EoNADE(num_orderings=128),
        EoNADE((2, 4), hidden=5, ordering=Ordering("random", seed=9), num_orderings=3),
    ),
    "made": Entry(
        MADE(hidden=(8000, 8000), num_masks=32),
        MADE((2, 5), hidden=(12, 9), num_masks=3, resample_order=True),
    ),
    "pixel_cnn": Entry(
        PixelCNN(), PixelCNN((3, 3), features=8, blocks=2, out_features=16, num_classes=3)
    ),
    "gated_pixel_cnn": Entry(
        GatedPixelCNN(), GatedPixelCNN((3, 3), features=6, layers=2, out_features=16, num_classes=3)
    ),
    "pixel_transformer": Entry(
        PixelTransformer(), PixelTransformer((3, 3), features=6, layers=2, num_classes=3)
    ),
    "row_lstm": Entry(
        RowLSTM(), RowLSTM((3, 3), features=6, layers=2, out_features=16, num_classes=3)
    ),
    "diagonal_bilstm": Entry(
        DiagonalBiLSTM(),
        DiagonalBiLSTM((3, 3), features=6, layers=2, out_features=16, num_classes=3),
    ),
    "pixel_cnn_pp": Entry(
        PixelCNNpp((32, 32), head=DiscretizedLogisticMixture(10, 256, 3)),
        PixelCNNpp((3, 3), features=5, blocks=1, scales=2, num_classes=3),
    ),
    "rnn": Entry(RNN(), RNN((4,), features=5, layers=1, end=2, pad=3, head=Categorical(4))),
    "gru": Entry(GRU(), GRU((4,), features=5, embedding=3, separator=1, head=Categorical(4))),
    "lstm": Entry(
        LSTM(), LSTM((4,), features=5, learned_start=True, end=0, pad=3, head=Categorical(4))
    ),
    "attention_lstm": Entry(
        AttentionLSTM(),
        AttentionLSTM((4,), features=6, heads=2, window=3, end=1, pad=3, head=Categorical(4)),
    ),
    "transformer": Entry(
        Transformer(),
        Transformer((4,), 6, 2, heads=1, window=3, dropout=0.0, end=2, pad=1, head=Categorical(4)),
    ),
    "wavenet": Entry(
        WaveNet(),
        WaveNet((5,), 4, 6, dilations=(1, 2), cycles=1, num_classes=3, head=Categorical(3)),
    ),
    "wavenet_16bit": Entry(
        WaveNet(companding="linear", head=DiscretizedLogisticMixture(10, 65_536, 1, -12.0)),
        WaveNet(
            (4,),
            4,
            5,
            (1,),
            2,
            kernel_size=3,
            companding="linear",
            head=DiscretizedLogisticMixture(2, 4, 1),
        ),
    ),
    "seq2seq": Entry(
        Seq2Seq(features=1000, embedding=620, head=Categorical(30_000), source_values=30_000),
        Seq2Seq(
            (4,), 5, 3, "lstm", end=2, pad=3, head=Categorical(4), source_values=6, source_pad=2
        ),
    ),
    "seq2seq_attention": Entry(
        Seq2SeqAttention(
            features=1000, embedding=620, head=Categorical(30_000), source_values=30_000
        ),
        Seq2SeqAttention((4,), 5, 3, end=0, pad=1, head=Categorical(4), source_values=6),
    ),
    "captioner": Entry(
        Captioner(
            (20,), 512, 512, "lstm", head=Categorical(10_000), image_shape=(224, 224, 3), halvings=4
        ),
        Captioner(
            (4,), 5, 3, "lstm", head=Categorical(4), image_shape=(5, 6), channels=(3, 4), halvings=1
        ),
    ),
    "show_attend_tell": Entry(
        ShowAttendTell(
            (20,), 512, 512, "lstm", head=Categorical(10_000), image_shape=(224, 224, 3), halvings=4
        ),
        ShowAttendTell(
            (4,),
            5,
            3,
            "lstm",
            head=Categorical(4),
            image_shape=(4, 4, 3),
            channels=(3, 4),
            halvings=1,
        ),
    ),
    "cnn": Entry(
        CNN(),
        CNN(image_shape=(4, 5), channels=(3, 4), halvings=1, head=Categorical(5)),
    ),
    "ram": Entry(
        RAM(),
        RAM(
            image_shape=(5, 6),
            glimpses=3,
            glimpse_size=2,
            scales=2,
            features=6,
            hidden=5,
            head=Categorical(3),
        ),
    ),
    "frames": Entry(
        Frames(channels=(32, 64), features=256, cell="lstm"),
        Frames(
            (3,),
            image_shape=(4, 4),
            channels=(3,),
            halvings=1,
            features=4,
            head=Categorical(3),
        ),
        blind=3,  # no label depends on another
    ),
    "probe": Entry(
        Probe(encoder=PixelCNN()),
        Probe(
            image_shape=(3, 3),
            encoder=PixelCNN((3, 3), features=4, blocks=1, out_features=4),
            cells=3,
            head=Categorical(5),
        ),
    ),
    "vae": Entry(VAE(), VAE((2, 3), latents=2, hidden=(5,), num_classes=3)),
    "iwae": Entry(
        VAE(weights=50), VAE((2, 2), latents=2, hidden=(4, 3), weights=5, head=Categorical(3))
    ),
    "gan": Entry(GAN(), GAN((2, 3), latents=2, hidden=(5,), num_classes=3)),
    "wgan_gp": Entry(
        GAN(loss="wasserstein"),
        GAN((2, 3), latents=2, hidden=(4,), loss="wasserstein"),
    ),
    "maf": Entry(MAF(), MAF((2,), layers=2, hidden=(5,), head=MixtureOfGaussians(2, 0.3))),
    "autoencoder": Entry(Autoencoder(), Autoencoder((2, 3), latents=2, hidden=(5,), num_classes=3)),
    "diffusion": Entry(
        Diffusion(
            (32, 32),
            schedule="linear",
            prediction="eps",
            loss="simple",
            denoiser="unet",
            features=128,
            blocks=2,
            scales=4,
            attention=True,
            head=DiscretizedLogisticMixture(1, 256, 3),
        ),
        Diffusion((2, 3), timesteps=3, features=6, blocks=1, num_classes=3),
    ),
    "draw_network": Entry(
        DRAW(read_size=2, write_size=5),
        DRAW((2, 3), 2, latents=1, features=4, read_size=2, write_size=2, num_classes=3),
    ),
}

HEADS = (
    Bernoulli,
    Categorical,
    MixtureOfGaussians,
    MixtureOfLaplacians,
    DiscretizedLogisticMixture,
)


@checked()
def entry(name: str) -> Entry:
    """The entry of that name.

    Raises:
      ValueError: no such model; the message names the nearest.

    Example:
      >>> import zoo
      >>> zoo.entry("made").paper.hidden
      (8000, 8000)
    """
    if name not in CATALOGUE:
        near = difflib.get_close_matches(name, CATALOGUE, n=5, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        names = ", ".join(near or sorted(CATALOGUE))
        others = f" and {len(CATALOGUE) - len(near)} others" if near else ""
        raise ValueError(f"unknown model {name!r}; the catalogue has {names}{others}.{hint}")
    return CATALOGUE[name]


@checked(batch=1)
def example(model: Generative, batch: int) -> tuple[Values, PyTree]:
    """Valid inputs (x, context) for `model`: `model.example(batch)`.

    Example:
      >>> import zoo
      >>> x, context = zoo.example(zoo.FVSBN((2, 3)), batch=4)
      >>> x.shape, context
      ((4, 2, 3), None)
    """
    return model.example(batch)
