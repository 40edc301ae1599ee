"""Exact and fast sampling for every model of the zoo."""

import sample.testing
from sample.coding.codec import compress, decompress
from sample.engines.ancestral_loop import Prefix, Sample, ancestral
from sample.engines.beam_search import Beams, search
from sample.engines.completion import complete
from sample.engines.noise import uniforms
from sample.engines.sampler import draw
from sample.engines.tempered import Tempered
from sample.engines.warming import warm
from sample.media.captions import Captions, caption, pointing_accuracy
from sample.media.codes import (
    Interpolation,
    Neighbours,
    interpolate,
    mean_images,
    nearest,
    reconstruct,
    reconstruction_nats,
)
from sample.media.image_files import read_images
from sample.media.labels import Labels, classify
from sample.media.pixel_files import read_pixels
from sample.media.pixels import as_images, canvases, images
from sample.media.sounds import Sounds, audio, save_sounds
from sample.media.texts import Texts, stream, text
from sample.media.translations import Translations, translate
from sample.pictures.attention_maps import save_alignment, save_gaze
from sample.pictures.frames import progress
from sample.pictures.grids import grid, save_gif, save_png
from sample.pictures.histograms import save_histogram
from sample.pictures.labelled import save_labelled
from sample.pictures.surprise_maps import save_surprise
from sample.pictures.surprise_pages import save_surprise_page, save_surprise_waves
from sample.pictures.waveforms import save_waveforms, spectrogram
from sample.scoring.surprisal import surprise
from sample.scoring.text_metrics import Scores, scores
from sample.uses.likelihoods import Likelihoods, score
from sample.uses.unknown_sites import Marginals, marginals

__all__ = [
    "Beams",
    "Captions",
    "Interpolation",
    "Labels",
    "Likelihoods",
    "Marginals",
    "Neighbours",
    "Prefix",
    "Sample",
    "Scores",
    "Sounds",
    "Tempered",
    "Texts",
    "Translations",
    "ancestral",
    "as_images",
    "audio",
    "canvases",
    "caption",
    "classify",
    "complete",
    "compress",
    "decompress",
    "draw",
    "grid",
    "images",
    "interpolate",
    "marginals",
    "mean_images",
    "nearest",
    "pointing_accuracy",
    "progress",
    "read_images",
    "read_pixels",
    "reconstruct",
    "reconstruction_nats",
    "save_alignment",
    "save_gaze",
    "save_gif",
    "save_histogram",
    "save_labelled",
    "save_png",
    "save_sounds",
    "save_surprise",
    "save_surprise_page",
    "save_surprise_waves",
    "save_waveforms",
    "score",
    "scores",
    "search",
    "spectrogram",
    "stream",
    "surprise",
    "text",
    "translate",
    "uniforms",
    "warm",
]
