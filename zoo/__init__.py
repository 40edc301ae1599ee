"""Autoregressive generative models under one contract."""

from zoo.catalogue import CATALOGUE, Entry, entry, example
from zoo.classifiers.classifier import Classifier
from zoo.classifiers.cnn import CNN
from zoo.classifiers.frames import Frames
from zoo.classifiers.probe import Probe
from zoo.classifiers.ram import RAM, glimpse_centres
from zoo.conditional.captioner import Captioner
from zoo.conditional.encoder_decoder import EncoderDecoder, attention_weights
from zoo.conditional.image_describer import ImageDescriber
from zoo.conditional.seq2seq import Seq2Seq
from zoo.conditional.seq2seq_attention import Seq2SeqAttention
from zoo.conditional.show_attend_tell import ShowAttendTell
from zoo.conditional.translator import Translator
from zoo.core.bounds import decode, evidence, represent
from zoo.core.checkpoint import CheckpointError, find, load, open, save
from zoo.core.checks import check_context, check_values
from zoo.core.configs import from_config, to_config
from zoo.core.decoders import Cache, Decoder, decoder, recompute
from zoo.core.ensemble import ensemble_log_prob
from zoo.core.generative import Canvas, Generative, Knows, Values, Variables
from zoo.core.likelihood import conditionals, conditionals_given, init, log_prob, training_loss
from zoo.core.model import Autoregressive
from zoo.core.orderings import Ordering
from zoo.core.summary_table import summary
from zoo.dense.eonade import EoNADE
from zoo.dense.fvsbn import FVSBN
from zoo.dense.made import MADE
from zoo.dense.nade import NADE
from zoo.dense.rnade import RNADE
from zoo.dense.standardised import Standardised
from zoo.derived import derive, explain
from zoo.formats.waveform import dequantise, quantise, read_wav, write_wav
from zoo.foundation.allocator import keep_freed_memory
from zoo.foundation.compilation_cache import cache_compilations
from zoo.foundation.registry import register
from zoo.foundation.units import bits_per_dim
from zoo.foundation.version import installed_version
from zoo.heads import (
    Bernoulli,
    Categorical,
    DiscretizedLogisticMixture,
    Head,
    MixtureOfGaussians,
    MixtureOfLaplacians,
    score,
)
from zoo.images.diagonal_bilstm import DiagonalBiLSTM
from zoo.images.gated_pixel_cnn import GatedPixelCNN
from zoo.images.pixel_cnn import PixelCNN
from zoo.images.pixel_cnn_pp import PixelCNNpp
from zoo.images.pixel_transformer import PixelTransformer
from zoo.images.raster import Raster
from zoo.images.row_lstm import RowLSTM
from zoo.latent.autoencoder import Autoencoder
from zoo.latent.diffusion import Diffusion
from zoo.latent.draw_network import DRAW
from zoo.latent.gan import GAN
from zoo.latent.maf import MAF
from zoo.latent.standardised import StandardisedGenerative
from zoo.latent.vae import VAE
from zoo.sequences.attention_lstm import AttentionLSTM
from zoo.sequences.gru import GRU
from zoo.sequences.lstm import LSTM
from zoo.sequences.recurrent import RecurrentNetwork
from zoo.sequences.rnn import RNN
from zoo.sequences.sequence import Sequence
from zoo.sequences.streaming import begin, stream_log_prob
from zoo.sequences.transformer import Transformer
from zoo.sequences.wavenet import WaveNet

__version__ = installed_version()
__all__ = [
    "CATALOGUE",
    "CNN",
    "DRAW",
    "FVSBN",
    "GAN",
    "GRU",
    "LSTM",
    "MADE",
    "MAF",
    "NADE",
    "RAM",
    "RNADE",
    "RNN",
    "VAE",
    "AttentionLSTM",
    "Autoencoder",
    "Autoregressive",
    "Bernoulli",
    "Cache",
    "Canvas",
    "Captioner",
    "Categorical",
    "CheckpointError",
    "Classifier",
    "Decoder",
    "DiagonalBiLSTM",
    "Diffusion",
    "DiscretizedLogisticMixture",
    "EncoderDecoder",
    "Entry",
    "EoNADE",
    "Frames",
    "GatedPixelCNN",
    "Generative",
    "Head",
    "ImageDescriber",
    "Knows",
    "MixtureOfGaussians",
    "MixtureOfLaplacians",
    "Ordering",
    "PixelCNN",
    "PixelCNNpp",
    "PixelTransformer",
    "Probe",
    "Raster",
    "RecurrentNetwork",
    "RowLSTM",
    "Seq2Seq",
    "Seq2SeqAttention",
    "Sequence",
    "ShowAttendTell",
    "Standardised",
    "StandardisedGenerative",
    "Transformer",
    "Translator",
    "Values",
    "Variables",
    "WaveNet",
    "attention_weights",
    "begin",
    "bits_per_dim",
    "cache_compilations",
    "check_context",
    "check_values",
    "conditionals",
    "conditionals_given",
    "decode",
    "decoder",
    "dequantise",
    "derive",
    "ensemble_log_prob",
    "entry",
    "evidence",
    "example",
    "explain",
    "find",
    "from_config",
    "glimpse_centres",
    "init",
    "keep_freed_memory",
    "load",
    "log_prob",
    "open",
    "quantise",
    "read_wav",
    "recompute",
    "register",
    "represent",
    "save",
    "score",
    "stream_log_prob",
    "summary",
    "to_config",
    "training_loss",
    "write_wav",
]
