"""The version of the packages, stated once: in pyproject.toml."""

import importlib.metadata
import tomllib
from pathlib import Path

NAME = "autoregressive-zoo"


def installed_version() -> str:
    """The version that is installed, or, in a folder that is not, that of its pyproject.toml."""
    try:
        return importlib.metadata.version(NAME)
    except importlib.metadata.PackageNotFoundError:
        return stated_version(Path(__file__).parents[2] / "pyproject.toml")


def stated_version(path: Path) -> str:
    """The version in a pyproject.toml of this project; "unknown" if there is no such file."""
    try:
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        return "unknown"
    return project["version"] if project.get("name") == NAME else "unknown"
