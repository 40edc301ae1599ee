"""Exact and fast sampling for every model of the zoo."""

from sample.alignment import save_alignment, save_gaze
from sample.audio import Sounds, audio, save_sounds, save_waveforms, spectrogram
from sample.caption import Captions, caption, pointing_accuracy
from sample.complete import complete
from sample.draw import draw, uniforms
from sample.loop import Prefix, Sample, ancestral
from sample.progress import progress
from sample.read import read_images, read_pixels
from sample.render import as_images, grid, images, save_gif, save_png
from sample.scores import Scores, scores
from sample.search import Beams, search
from sample.surprise import save_surprise, surprise
from sample.tempered import Tempered
from sample.text import Texts, stream, text
from sample.translate import Translations, translate
