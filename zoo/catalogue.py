"""The catalogue: every model by name, in the paper's size and in a tiny one whose whole space can be enumerated."""

import dataclasses
import difflib
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np

from zoo.attention_lstm import AttentionLSTM
from zoo.autoregressive import Autoregressive, Values
from zoo.captioner import Captioner
from zoo.diagonal_bilstm import DiagonalBiLSTM
from zoo.eonade import EoNADE
from zoo.fvsbn import FVSBN
from zoo.gated_pixel_cnn import GatedPixelCNN
from zoo.gru import GRU
from zoo.heads import Bernoulli, Categorical
from zoo.logistics import DiscretizedLogisticMixture
from zoo.lstm import LSTM
from zoo.made import MADE
from zoo.mixtures import MixtureOfGaussians, MixtureOfLaplacians
from zoo.nade import NADE
from zoo.orderings import Ordering
from zoo.pixel_cnn import PixelCNN
from zoo.pixel_cnn_pp import PixelCNNpp
from zoo.pixel_transformer import PixelTransformer
from zoo.rnade import RNADE
from zoo.rnn import RNN
from zoo.row_lstm import RowLSTM
from zoo.seq2seq import Seq2Seq
from zoo.seq2seq_attention import Seq2SeqAttention
from zoo.show_attend_tell import ShowAttendTell
from zoo.standardised import Standardised
from zoo.transformer import Transformer
from zoo.wavenet import WaveNet


def unconditional(model: Autoregressive, batch: int) -> tuple[Values, None]:
    """A batch of valid values, drawn by the head itself from a fixed seed, and no context."""
    shape = (batch, *model.site_shape)
    u = np.random.RandomState(0).uniform(size=(*shape, model.head.uniforms)).astype(np.float32)
    return model.head.quantile(jnp.zeros((*shape, model.head.num_params)), jnp.asarray(u)), None


def labelled(model: Autoregressive, batch: int) -> tuple[Values, np.ndarray | None]:
    """The same, and labels 0, 1, 2, ... for a class-conditional model."""
    labels = np.arange(batch, dtype=np.int32) % model.num_classes if model.num_classes else None
    return unconditional(model, batch)[0], labels


def sentences(model: Autoregressive, batch: int) -> tuple[Values, None]:
    """Sequences of tokens, some of which end before their last site if the model's do."""
    x = jnp.asarray(unconditional(model, batch)[0])
    if model.end is not None:
        ends = (x == model.end) | (x == model.pad)
        ended = jnp.pad(jnp.cumsum(ends, axis=1), ((0, 0), (1, 0)))[:, :-1] > 0
        x = jnp.where(ended, model.pad, jnp.where(ends, model.end, x))
    return x, None


def translations(model: Autoregressive, batch: int) -> tuple[Values, np.ndarray]:
    """The same, and sources of 1 to 5 tokens."""
    random = np.random.RandomState(1)
    source = random.randint(0, model.source_values - 1, (batch, 5)).astype(np.int32)
    source += source >= model.source_pad
    lengths = 1 + np.arange(batch) * 3 % 5
    return sentences(model, batch)[0], np.where(np.arange(5) < lengths[:, None], source, np.int32(model.source_pad))


def captions(model: Autoregressive, batch: int) -> tuple[Values, np.ndarray]:
    """The same, and images of noise."""
    images = np.random.RandomState(1).randint(0, 256, (batch, *model.image_shape)).astype(np.uint8)
    return sentences(model, batch)[0], images


@dataclasses.dataclass(frozen=True)
class Entry:
    """One model of the catalogue.

    Attributes:
      paper: the configuration of the paper.
      tiny: a small instance, on which the conformance suite proves the contract.
      blind: for the tiny instance, how many pairs of an earlier and a later rank do not depend on each other although
        the ordering would allow it (0: every allowed dependence exists).
      example: (model, batch) -> (x, context), valid inputs for any instance.
    """

    paper: Autoregressive
    tiny: Autoregressive
    blind: int = 0
    example: Callable = unconditional


CATALOGUE: dict[str, Entry] = {
    "fvsbn": Entry(FVSBN(), FVSBN((2, 4))),
    "nade": Entry(NADE(), NADE((2, 4), hidden=5, ordering=Ordering("random", seed=1))),
    "nade_categorical": Entry(
        NADE((8, 8), head=Categorical(17)),
        NADE((2, 2), hidden=5, head=Categorical(3), ordering=Ordering("random", seed=1)),
    ),
    "rnade": Entry(RNADE(), RNADE((2,), hidden=5, head=MixtureOfGaussians(3, 0.3), ordering=Ordering("reversed"))),
    "eonade": Entry(
        EoNADE(num_orderings=128),
        EoNADE((2, 4), hidden=5, ordering=Ordering("random", seed=9), num_orderings=3),
    ),
    "made": Entry(
        MADE(hidden=(8000, 8000), num_masks=32),
        MADE((2, 5), hidden=(12, 9), num_masks=3, resample_order=True),
    ),
    "pixel_cnn": Entry(
        PixelCNN(), PixelCNN((3, 3), features=8, blocks=2, out_features=16, num_classes=3), example=labelled
    ),
    "gated_pixel_cnn": Entry(
        GatedPixelCNN(), GatedPixelCNN((3, 3), features=6, layers=2, out_features=16, num_classes=3), example=labelled
    ),
    "pixel_transformer": Entry(
        PixelTransformer(), PixelTransformer((3, 3), features=6, layers=2, num_classes=3), example=labelled
    ),
    "row_lstm": Entry(
        RowLSTM(), RowLSTM((3, 3), features=6, layers=2, out_features=16, num_classes=3), example=labelled
    ),
    "diagonal_bilstm": Entry(
        DiagonalBiLSTM(), DiagonalBiLSTM((3, 3), features=6, layers=2, out_features=16, num_classes=3), example=labelled
    ),
    "pixel_cnn_pp": Entry(
        PixelCNNpp((32, 32), head=DiscretizedLogisticMixture(10, 256, 3)),
        PixelCNNpp((3, 3), features=5, blocks=1, scales=2, num_classes=3),
        example=labelled,
    ),
    "rnn": Entry(RNN(), RNN((4,), features=5, layers=1, end=2, pad=3, head=Categorical(4)), example=sentences),
    "gru": Entry(GRU(), GRU((4,), features=5, embedding=3, separator=1, head=Categorical(4)), example=sentences),
    "lstm": Entry(
        LSTM(), LSTM((4,), features=5, learned_start=True, end=0, pad=3, head=Categorical(4)), example=sentences
    ),
    "attention_lstm": Entry(
        AttentionLSTM(),
        AttentionLSTM((4,), features=6, heads=2, window=3, end=1, pad=3, head=Categorical(4)),
        example=sentences,
    ),
    "transformer": Entry(
        Transformer(),
        Transformer((4,), 6, 2, heads=1, window=3, dropout=0.0, end=2, pad=1, head=Categorical(4)),
        example=sentences,
    ),
    "wavenet": Entry(
        WaveNet(),
        WaveNet((5,), 4, 6, dilations=(1, 2), cycles=1, num_classes=3, head=Categorical(3)),
        example=labelled,
    ),
    "wavenet_16bit": Entry(
        WaveNet(companding="linear", head=DiscretizedLogisticMixture(10, 65_536, 1, -12.0)),
        WaveNet((4,), 4, 5, (1,), 2, kernel_size=3, companding="linear", head=DiscretizedLogisticMixture(2, 4, 1)),
    ),
    "seq2seq": Entry(
        Seq2Seq(features=1000, embedding=620, head=Categorical(30_000), source_values=30_000),
        Seq2Seq((4,), 5, 3, "lstm", end=2, pad=3, head=Categorical(4), source_values=6, source_pad=2),
        example=translations,
    ),
    "seq2seq_attention": Entry(
        Seq2SeqAttention(features=1000, embedding=620, head=Categorical(30_000), source_values=30_000),
        Seq2SeqAttention((4,), 5, 3, end=0, pad=1, head=Categorical(4), source_values=6),
        example=translations,
    ),
    "captioner": Entry(
        Captioner((20,), 512, 512, "lstm", head=Categorical(10_000), image_shape=(224, 224, 3), halvings=4),
        Captioner((4,), 5, 3, "lstm", head=Categorical(4), image_shape=(5, 6), channels=(3, 4), halvings=1),
        example=captions,
    ),
    "show_attend_tell": Entry(
        ShowAttendTell((20,), 512, 512, "lstm", head=Categorical(10_000), image_shape=(224, 224, 3), halvings=4),
        ShowAttendTell((4,), 5, 3, "lstm", head=Categorical(4), image_shape=(4, 4, 3), channels=(3, 4), halvings=1),
        example=captions,
    ),
}

HEADS = (Bernoulli, Categorical, MixtureOfGaussians, MixtureOfLaplacians, DiscretizedLogisticMixture)
WRAPPERS = (Standardised,)


def entry(name: str) -> Entry:
    """The entry of that name.

    Raises:
      ValueError: there is none; the message names the nearest.
    """
    if name not in CATALOGUE:
        near = difflib.get_close_matches(name, CATALOGUE, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown model {name!r}; the catalogue has {', '.join(sorted(CATALOGUE))}.{hint}")
    return CATALOGUE[name]


def example(model: Autoregressive, batch: int) -> tuple:
    """Valid inputs (x, context) for `model`, by the entry of its class."""
    for candidate in CATALOGUE.values():
        if type(candidate.paper) is type(model):
            return candidate.example(model, batch)
    return unconditional(model, batch)
