"""Pictures in files, as arrays."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

MODES = {"1": "bits", "L": "grey", "RGB": "colour"}


def read_picture(path: str | Path) -> tuple[str, UInt8[np.ndarray, "height width *channels"]]:
    """The mode of a picture, one of `MODES`, and its pixels; bits are 0 and 1. RGBA is RGB if nothing shines through.

    Raises:
      ValueError: the file is no picture, or one of another mode.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            opaque = image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255)
            shown = image.convert("RGB") if opaque else image
            mode, pixels = shown.mode, np.asarray(shown).astype(np.uint8)
    except (OSError, SyntaxError, ValueError) as error:  # what PIL raises on damaged and foreign files
        raise ValueError(f"{path} is not a readable picture ({error}).") from None
    if mode not in MODES:
        expected = ", ".join(f"{mode} ({name})" for mode, name in MODES.items())
        raise ValueError(f"{path} has the mode {mode}; expected {expected}: convert it.")
    return mode, pixels


def brightness(mode: str, pixels: UInt8[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Pixels of a mode as 0 (black) to 255 (white), which all but bits are."""
    return pixels * np.uint8(255 if mode == "1" else 1)


def picture_files(folder: Path) -> list[Path]:
    """The files in a folder and below whose suffix is that of a picture, in order of their names; hidden ones left out."""
    from PIL import Image

    suffixes = Image.registered_extensions()
    return sorted(
        file for file in folder.rglob("*") if file.is_file() and file.name[0] != "." and file.suffix.lower() in suffixes
    )
