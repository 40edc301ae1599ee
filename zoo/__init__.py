"""Autoregressive generative models under one contract."""

from zoo.attention_lstm import AttentionLSTM
from zoo.autoregressive import (
    Autoregressive,
    Canvas,
    Values,
    Variables,
    conditionals,
    init,
    log_prob,
    training_loss,
)
from zoo.captioner import Captioner
from zoo.captioning import ImageDescriber
from zoo.catalogue import CATALOGUE, Entry, entry, example
from zoo.checkpoint import CheckpointError, find, from_config, load, save, to_config
from zoo.checks import check_context, check_values
from zoo.decoders import Cache, Decoder, decoder, recompute
from zoo.diagonal_bilstm import DiagonalBiLSTM
from zoo.encoder_decoder import EncoderDecoder, attention_weights
from zoo.ensemble import ensemble_log_prob
from zoo.eonade import EoNADE
from zoo.fvsbn import FVSBN
from zoo.gated_pixel_cnn import GatedPixelCNN
from zoo.gru import GRU
from zoo.heads import Bernoulli, Categorical, Head
from zoo.logistics import DiscretizedLogisticMixture
from zoo.lstm import LSTM
from zoo.made import MADE
from zoo.mixtures import MixtureOfGaussians, MixtureOfLaplacians
from zoo.nade import NADE
from zoo.orderings import Ordering
from zoo.pixel_cnn import PixelCNN
from zoo.pixel_cnn_pp import PixelCNNpp
from zoo.pixel_transformer import PixelTransformer
from zoo.raster import Raster
from zoo.recurrent import RecurrentNetwork
from zoo.registry import register
from zoo.rnade import RNADE
from zoo.rnn import RNN
from zoo.row_lstm import RowLSTM
from zoo.seq2seq import Seq2Seq
from zoo.seq2seq_attention import Seq2SeqAttention
from zoo.sequence import Sequence
from zoo.show_attend_tell import ShowAttendTell
from zoo.source import open
from zoo.standardised import Standardised
from zoo.stream import begin, stream_log_prob
from zoo.transformer import Transformer
from zoo.translator import Translator
from zoo.units import bits_per_dim
from zoo.waveform import dequantise, quantise, read_wav, write_wav
from zoo.wavenet import WaveNet
