"""Where files go that a command writes, and how they are called."""

from pathlib import Path

from zoo.foundation.packages import BOX


def folder_of(checkpoint: Path) -> Path:
    """The folder for what is drawn: that of the checkpoint, or runs/pretrained/NAME for weights that
    come with the project, whose folder stays as it is.
    """
    if BOX not in checkpoint.absolute().parents:
        return checkpoint.parent
    folder = Path("runs") / checkpoint.absolute().parent.relative_to(BOX.parent)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def place(checkpoint: Path, stem: str, suffix: str, seed: int = 0, engine: str = "cached") -> Path:
    """The file for a picture, or for sounds: its name tells the engine and the seed, where they are
    not the usual ones.

    Example:
      >>> place(Path("made/model.safetensors"), "samples", ".png", seed=3, engine="jacobi").as_posix()
      'made/samples_jacobi_seed3.png'
    """
    parts = [stem, *[engine] * (engine != "cached"), *[f"seed{seed}"] * (seed != 0)]
    return folder_of(checkpoint) / f"{'_'.join(parts)}{suffix}"


def noted(path: Path) -> str:
    """A path as it is printed; call it before the file is written, so that it tells of an older one.

    Example:
      >>> noted(Path("grid.png"))
      'grid.png'
      >>> Path("grid.png").touch()
      >>> noted(Path("grid.png"))
      'grid.png (replaces an older one)'
    """
    return f"{path} (replaces an older one)" if path.exists() else str(path)
