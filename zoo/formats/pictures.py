"""Pictures in files, as arrays: what a viewer shows, where that is unambiguous; all else is refused
by name.
"""

import io
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

MODES = {"1": "bits", "L": "grey", "RGB": "colour"}
PIXELS = 2**24  # of one picture, such as 4096x4096
_SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")  # 16 bits of grey
_WITH_ALPHA = ("P", "PA", "LA", "La", "RGBA", "RGBa")
_STEPS = {"L;2": 85, "L;4": 17}  # between two greys of few bits, which files count from 0


def read_picture(
    path: str | Path, content: bytes | None = None
) -> tuple[str, UInt8[np.ndarray, "height width *channels"]]:
    """The mode of a picture, one of `MODES`, and its pixels; bits are 0 and 1. With `content`, the
    bytes of its file, `path` is only its name in messages.

    The orientation that EXIF asks for is applied. A palette becomes its colours, grey if all of
    them are; 16 bits of grey become 8. Transparency is dropped where nothing shines through.

    Raises:
      ValueError: the file is no picture, an animation or one of several pages, transparent, larger
        than `PIXELS`, or of a mode that viewers show differently.

    Example:
      >>> from PIL import Image
      >>> Image.new("L", (3, 2), 255).save("white.png")
      >>> mode, pixels = read_picture("white.png")
      >>> mode, pixels.shape
      ('L', (2, 3))
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is checked here
            # A file, not its name: by name, rotated TIFFs without compression come out wrong
            # (mapped in Pillow 13).
            content = Path(path).read_bytes() if content is None else content
            with io.BytesIO(content) as file, Image.open(file) as image:
                _check_size(path, image)
                step = _step(image)
                image.load()
                mode, pixels = _shown(path, image, step)
    except _Refused as error:
        raise ValueError(str(error)) from None
    except Image.DecompressionBombError:
        raise ValueError(f"{path} {_TOO_LARGE}") from None
    except UnidentifiedImageError:
        raise ValueError(f"{path} is not a readable picture (its format is unknown).") from None
    except Exception as error:  # damaged and foreign files raise whatever the decoders stumble over
        raise ValueError(
            f"{path} is not a readable picture ({' '.join(str(error).split())})."
        ) from None
    return mode, pixels


_EXPECTED = ", ".join(f"{mode} ({name})" for mode, name in MODES.items())
_TOO_LARGE = f"has more than {PIXELS:,} pixels, the most that a picture may have: make it smaller."


class _Refused(Exception):
    """A picture that can be read, but not as one thing."""


def _check_size(path, image):
    """Refuses by the header alone, before anything is decoded."""
    if image.width * image.height > PIXELS:
        raise _Refused(f"{path} is {image.width}x{image.height} and {_TOO_LARGE}")
    # Cameras write MPO: a JPEG with previews behind it, which no viewer shows.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise _Refused(
            f"{path} has several frames or pages; expected one picture: save the one that is "
            "meant by itself."
        )


def _step(image):
    """By what a file's number of a transparent grey is multiplied to give the grey."""
    tiles = getattr(image, "tile", None) or [(None,) * 4]
    return _STEPS.get(tiles[0][3], 1)


def _shown(path, image, step):
    from PIL import ImageOps

    is_sixteen = image.mode in _SIXTEEN or (image.mode == "I" and image.format in ("PNG", "PPM"))
    image = ImageOps.exif_transpose(image)
    if image.mode in _WITH_ALPHA:
        full = image.convert("RGBA")
        _check_opaque(path, image.mode, np.asarray(full.getchannel("A")) < 255)
        return _colours(
            full, is_grey=image.mode in ("LA", "La"), may_be_grey=image.mode in ("P", "PA")
        )
    if image.mode == "YCbCr":
        image = image.convert("RGB")
    mode, pixels = image.mode, np.asarray(image)
    if mode not in MODES and not is_sixteen:
        raise _Refused(f"{path} has the mode {mode}; expected {_EXPECTED}: convert it.")
    if (hidden := image.info.get("transparency")) is not None:
        _check_opaque(path, mode, _is_hidden(mode, pixels, hidden, step))
    return ("L", _eight_bits(pixels)) if is_sixteen else (mode, pixels.astype(np.uint8))


def _is_hidden(mode, pixels, hidden, step):
    """Which pixels have the colour that is to be transparent."""
    if mode == "1":
        return pixels == bool(hidden)
    if mode != "RGB":
        return pixels == hidden * step
    colour = np.asarray(hidden)
    # Of 16 bits a channel the upper 8 are kept: what agrees in these may be transparent.
    return (pixels == (colour >> 8 if colour.max() > 255 else colour)).all(-1)


def _colours(full, is_grey, may_be_grey):
    pixels = np.asarray(full)[..., :3]
    is_grey = is_grey or (may_be_grey and bool((pixels == pixels[..., :1]).all()))
    return ("L", pixels[..., 0].copy()) if is_grey else ("RGB", pixels.copy())


def _eight_bits(pixels):
    """Greys 0..65535 as 0..255, to the nearest."""
    return ((pixels.astype(np.int64) + 128) // 257).astype(np.uint8)


def _check_opaque(path, mode, transparent):
    if transparent.any():
        raise _Refused(
            f"{path} has the mode {mode}; expected {_EXPECTED}, but it is transparent in places: "
            "put it on a background."
        )


def brightness(mode: str, pixels: UInt8[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Pixels of a mode as 0 (black) to 255 (white), which all but bits are.

    Example:
      >>> brightness("1", np.array([0, 1], np.uint8)).tolist()
      [0, 255]
    """
    return pixels * np.uint8(255 if mode == "1" else 1)


def picture_files(folder: Path) -> list[Path]:
    """The files in a folder and below whose suffix is that of a picture, in order of their names;
    hidden ones left out.

    Example:
      >>> Path("a.png").touch()
      >>> [file.name for file in picture_files(Path("."))]
      ['a.png']
    """
    from PIL import Image

    suffixes = Image.registered_extensions()
    return sorted(
        file
        for file in folder.rglob("*")
        if file.is_file() and file.name[0] != "." and file.suffix.lower() in suffixes
    )


def fit_picture(
    mode: str,
    pixels: UInt8[np.ndarray, "height width *channels"],
    size: tuple[int, ...] | None = None,
    colour: bool | None = None,
) -> tuple[str, UInt8[np.ndarray, "rows columns *others"]]:
    """A picture in another size, or in grey or colour.

    The largest part in the middle with the shape of `size` is resampled (bicubic, smoothed where it
    shrinks), so bits become grey. Colours become grey by their luminance, 0.299 red + 0.587 green +
    0.114 blue; a grey picture in colour has three equal channels.

    Args:
      mode: of the pixels, one of `MODES`.
      pixels: as `read_picture` returns them.
      size: (height, width); None keeps the size.
      colour: whether to return colours; None keeps the channels.

    Returns:
      The mode and the pixels, the same where nothing is to be changed.

    Example:
      >>> mode, pixels = fit_picture("1", np.ones((6, 8), np.uint8), (3, 3))
      >>> mode, pixels.tolist()
      ('L', [[255, 255, 255], [255, 255, 255], [255, 255, 255]])
    """
    from PIL import Image

    size = pixels.shape[:2] if size is None else tuple(size)
    resize = pixels.shape[:2] != size
    recolour = colour is not None and colour != (mode == "RGB")
    if not (resize or recolour):
        return mode, pixels
    picture = Image.fromarray(np.ascontiguousarray(brightness(mode, pixels)))
    if recolour:
        picture = picture.convert("RGB" if colour else "L")
    if resize:
        # Cropped first: with `box`, the filter would look beyond the edges of the middle.
        picture = picture.crop(_middle(picture.size, size))
        picture = picture.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return picture.mode, np.asarray(picture)


def _middle(picture, size):
    """(left, top, right, bottom) of the largest middle of a picture (width, height) in the shape of
    `size` (height, width).
    """
    per_pixel = min(picture[0] / size[1], picture[1] / size[0])
    width, height = (max(1, round(side * per_pixel)) for side in size[::-1])
    left, top = (picture[0] - width) // 2, (picture[1] - height) // 2
    return left, top, left + width, top + height
