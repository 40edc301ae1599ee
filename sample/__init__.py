"""Exact and fast sampling for every model of the zoo."""

from sample.complete import complete
from sample.draw import draw, uniforms
from sample.loop import Prefix, Sample, ancestral
from sample.render import as_images, grid, images, save_png
