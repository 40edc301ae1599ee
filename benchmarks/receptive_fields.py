"""`python -m benchmarks.receptive_fields`: draws the receptive field of one pixel for every image
model of the catalogue.

Fields are found by experiment: a site is seen if perturbing it changes the prediction of the pixel.
"""

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Float

import zoo
from sample.pictures.figures import new_figure
from zoo.cli import called, command
from zoo.images.raster import Raster
from zoo.layers.convolutions import mask

# Deep enough to see the whole image unless the masks prevent it; the other models are drawn as the
# catalogue defines them.
DEPTHS: dict[str, dict[str, Any]] = {"pixel_cnn": {"blocks": 8}, "gated_pixel_cnn": {"layers": 6}}


@dataclasses.dataclass(frozen=True)
class Options:
    """Draws the masks of a convolution and the receptive field of every image model."""

    out: Annotated[Path, tyro.conf.Positional] = Path("docs/receptive_fields.png")
    """The PNG file."""
    size: int = 16
    """Height and width of the image."""


def receptive_field(
    model: zoo.Autoregressive,
    variables: zoo.Variables,
    site: tuple[int, ...] | None = None,
    tries: int = 8,
) -> Float[np.ndarray, "*sites"]:
    """Measures how much the conditional of one site changes when another site is perturbed.

    Args:
      model: the model.
      variables: its variables.
      site: the site whose conditional is measured; the middle one by default.
      tries: number of random inputs, since a ReLU may be closed on one of them.

    Returns:
      The largest change of any parameter over all inputs, [*site_shape]: exactly 0 at sites that
      are not seen.

    Example:
      >>> import jax
      >>> import zoo
      >>> from benchmarks.receptive_fields import receptive_field
      >>> model = zoo.FVSBN((2, 3))
      >>> ones = zoo.init(model, jax.random.key(0), model.example(1)[0])
      >>> ones = jax.tree.map(jax.numpy.ones_like, ones)
      >>> (receptive_field(model, ones, site=(1, 1)) > 0).tolist()
      [[True, True, True], [True, False, False]]
    """
    site = tuple(size // 2 for size in model.site_shape) if site is None else site
    x, context = (jax.tree.map(jnp.asarray, each) for each in zoo.example(model, tries))
    return np.asarray(_changes(model, site, variables, x, context)).reshape(model.site_shape)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _changes(model, site, variables, x, context):
    def params(x):
        return zoo.conditionals(model, variables, x, context)[(slice(None), *site)]

    def change(other):
        flat = x.reshape(len(x), model.num_sites, -1)
        return params(flat.at[:, other].set(_another(model.head, flat[:, other])).reshape(x.shape))

    # Every site goes through the same computation, so that an unseen site changes no bit.
    changed = jax.lax.map(change, jnp.arange(model.num_sites))
    unchanged = jax.lax.map(lambda _: params(x), jnp.arange(1))
    return jnp.abs(changed - unchanged).max((1, 2))


def _another(head, x):
    """Returns values that differ from x by half of the range."""
    return x + 1 if head.num_values is None else (x + (head.num_values + 1) // 2) % head.num_values


def image_models(size: int) -> Iterator[tuple[str, zoo.Autoregressive]]:
    """Yields a small instance of every image model of the catalogue, for images of `size` x `size`."""
    for name, entry in zoo.CATALOGUE.items():
        if isinstance(entry.tiny, Raster):
            yield (
                name,
                entry.tiny.clone(
                    site_shape=(size, size, *entry.tiny.site_shape[2:]), **DEPTHS.get(name, {})
                ),
            )


def random_variables(model: zoo.Autoregressive) -> zoo.Variables:
    """Returns fresh variables with a little noise, so that no bias and no last layer is zero."""
    variables = zoo.init(model, jax.random.key(0), *zoo.example(model, 1))
    random = np.random.RandomState(0)
    return jax.tree.map(
        lambda leaf: leaf + 0.1 * random.normal(size=leaf.shape).astype(np.float32), variables
    )


def even_columns(panels: int) -> int:
    """The number of columns, 4 to 6, that leaves the fewest places empty; of equals the most.

    Example:
      >>> even_columns(10), even_columns(12), even_columns(11)
      (5, 6, 6)
    """
    return min((6, 5, 4), key=lambda columns: -panels % columns)


def draw_figure(path: Path, size: int) -> None:
    """Writes the picture to a PNG file.

    Raises:
      ImportError: matplotlib is not installed.
    """
    models = list(image_models(size))
    columns = even_columns(4 + len(models))  # 4 panels show masks
    rows = -(-(4 + len(models)) // columns)
    figure = new_figure(figsize=(2.6 * columns, 2.8 * rows))
    # Fixed gaps, so that panels with labels stand as far apart as those without.
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.02, top=0.94, wspace=0.25, hspace=0.3)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.set(xticks=[], yticks=[])
    kinds: tuple[Literal["A", "B"], ...] = ("A", "B")
    for axes, kind in zip(panels[:2], kinds, strict=True):
        kernel = np.zeros((7, 7))
        kernel[:4] = mask((7, 7), kind)[..., 0, 0]
        _cells(axes, kernel, f"mask {kind} of a 7x7 kernel", pixel=(3, 3))
    for axes, kind in zip(panels[2:4], kinds, strict=True):
        _cells(axes, mask((1, 1), kind, 3, 3, 3)[0, 0].T, f"its middle tap in colour, mask {kind}")
        axes.set(
            xticks=range(3),
            yticks=range(3),
            xticklabels="RGB",
            yticklabels="RGB",
            xlabel="sees",
            ylabel="colour",
        )
    for axes, (name, model) in zip(panels[4:], models, strict=False):
        pixel = size // 2, size // 2
        seen = (receptive_field(model, random_variables(model)) > 0).reshape(size, size, -1).any(-1)
        before = np.arange(size * size).reshape(size, size) < pixel[0] * size + pixel[1]
        blind = before & ~seen
        _cells(axes, seen + 0.4 * blind, f"{name}: {blind.sum() or 'none'} unseen", pixel)
    for axes in panels[4 + len(models) :]:
        axes.set_visible(False)
    figure.savefig(path, dpi=90, format="png")


def _cells(axes, shade, title, pixel=None):
    """Draws cells from white (0, not seen) to blue (1, seen), and the pixel that sees them."""
    height, width = shade.shape
    axes.imshow(shade, cmap="Blues", vmin=0, vmax=1.4)
    if pixel is not None:
        axes.plot(*pixel[::-1], "s", color="crimson", markersize=5)
    axes.set_xticks(np.arange(width + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(height + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="lightgrey", linewidth=0.4)
    axes.tick_params(which="both", length=0)
    axes.set_title(title, fontsize=9)


def main(options: Options) -> None:
    """Draws the picture."""
    if options.size < 3:
        raise ValueError(f"--size must be at least 3; got {options.size}.")
    draw_figure(options.out, options.size)
    print(f"receptive fields: {options.out}")


if __name__ == "__main__":
    command(main, Options, called("benchmarks.receptive_fields"))
