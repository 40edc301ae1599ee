"""Facts that one command finds out and the next one need not, beside the compiled programs.

A fact is a line of text that names all it depends on, such as a digest. It is kept as a small file
that holds the line; a file that holds anything else is ignored. Where no compiled programs are kept
(in a library, or with ZOO_COMPILATION_CACHE=0), no facts are.
"""

import contextlib
import hashlib
from pathlib import Path

from zoo.foundation import compilation_cache
from zoo.foundation.files import write_whole

FOLDER = "facts"
MOST = 1000  # facts in a folder; beyond, the oldest half goes


def is_known(fact: str) -> bool:
    """Whether an earlier command, or this one, kept the fact.

    Example:
      >>> is_known("no command has kept this")
      False
    """
    path = _path(fact)
    with contextlib.suppress(OSError):
        return path is not None and path.read_bytes() == fact.encode()
    return False


def keep(fact: str) -> None:
    """Keeps a fact for later commands; does nothing where nothing is kept or can be written.

    Example:
      >>> keep("one and one is two")
      >>> is_known("one and one is two")  # this is no command
      False
    """
    path = _path(fact)
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        write_whole(path, fact.encode())
        kept = sorted(path.parent.iterdir(), key=lambda each: each.stat().st_mtime)
        for old in kept[: MOST // 2] if len(kept) > MOST else ():
            old.unlink(missing_ok=True)


def _path(fact: str) -> Path | None:
    folder = compilation_cache.kept_in()
    name = hashlib.blake2b(fact.encode(), digest_size=16).hexdigest()
    return None if folder is None else folder / FOLDER / name
