"""The files of a run in one piece, for processes that do not see its folder."""

import io
import zipfile
from pathlib import Path

from train.runs.folder import Run


def pack(run: Run) -> bytes:
    """The recipe, the metrics, the best model and the snapshots of a run."""
    packed = io.BytesIO()
    snapshots = run.snapshot(1).parent
    files = [run.config, run.metrics, run.model, *snapshots.glob("*.safetensors")]
    with zipfile.ZipFile(packed, "w") as archive:
        for path in files:
            if path.exists():
                archive.write(path, path.relative_to(run.folder))
    return packed.getvalue()


def unpack(packed: bytes, folder: Path) -> Run:
    """A run in that folder, as `pack` found it."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(folder)
    return Run(folder)
