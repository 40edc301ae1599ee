"""Compiled programs on disk: a command that runs again does not compile again."""

import contextlib
import hashlib
import os
import platform
import sys
import tempfile
import warnings
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

SWITCH = "ZOO_COMPILATION_CACHE"
ELSEWHERE = "JAX_COMPILATION_CACHE_DIR chooses another folder"
OFF = ("0", "off", "no", "false")
NO_LIMIT = -1
MOST_BYTES = 2**31  # of a folder; the programs that were not used for longest go first
LIMIT = "jax_compilation_cache_max_size"
STARTS = (b"\x28\xb5\x2f\xfd", b"\x78")  # of a program as jax packs it: by zstd, by zlib
LOCK, WAIT = ".lockfile", 5  # the lock of jax's own cache, and seconds to wait for it
SETTINGS = {
    "jax_persistent_cache_min_compile_time_secs": 0.0,  # small programs are most of a command
    "jax_persistent_cache_min_entry_size_bytes": -1,
    LIMIT: MOST_BYTES,
}

_kept_in: list[Path] = []  # the folder, once `cache_compilations` chose one


def kept_in() -> Path | None:
    """The folder in which `cache_compilations` keeps programs; None before its first call, and
    where nothing is kept.

    Example:
      >>> kept_in() is None  # an import keeps nothing
      True
    """
    return _kept_in[0] if _kept_in else None


def cache_compilations(folder: str | os.PathLike | None = None) -> Path | None:
    """Keeps the programs that jax compiles from now on in a folder, and takes them from there.

    The commands call it; an import of the zoo does not. A program is found again by its content,
    by the versions of jax and XLA, and by the device, so no result depends on the cache. Several
    processes may share a folder. It holds at most 2 GiB. Beside the programs lies what commands
    found out and need not find out again: which derived steps agree with their network.

    Args:
      folder: where programs are kept. By default `JAX_COMPILATION_CACHE_DIR` if jax has that
        setting, else a folder for this kind of processor under
        `$XDG_CACHE_HOME/autoregressive-zoo/compiled`, or `~/.cache` without that variable. In the
        folder of jax's setting, which may hold programs of others, jax's own limit counts:
        `JAX_COMPILATION_CACHE_MAX_SIZE`, by default none.

    Returns:
      The folder; None where nothing is kept: `ZOO_COMPILATION_CACHE=0` turns the cache off, and a
      folder that cannot be written is left alone, also by jax, with one line on stderr.

    Example:
      >>> import os, zoo
      >>> os.environ["ZOO_COMPILATION_CACHE"] = "0"
      >>> zoo.cache_compilations() is None
      True
    """
    _kept_in.clear()
    if os.environ.get(SWITCH, "").lower() in OFF:
        return None
    theirs = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    chosen = folder or theirs
    if chosen and "://" in str(chosen):  # a bucket, which jax reads by itself
        return None
    settings = SETTINGS if folder or not theirs else {**SETTINGS, LIMIT: _limit()}
    settings = {name: each for name, each in settings.items() if name.upper() not in os.environ}
    try:
        where = Path(chosen) if chosen else _users_folder()
        where.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=where):
            pass
        if settings.get(LIMIT, _limit()) != NO_LIMIT:
            _mend(where)
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home
        _keep_nothing(error, f"{SWITCH}=0 turns this off" if folder or not theirs else ELSEWHERE)
        return None
    for name, value in settings.items():
        jax.config.update(name, value)
    jax.config.update("jax_compilation_cache_dir", str(where))
    compilation_cache.reset_cache()  # jax looks at the settings once, when it first compiles
    # A disk that is full later does no harm: the program is compiled, and runs.
    for what in ("reading", "writing"):
        warnings.filterwarnings("ignore", f"Error {what} persistent compilation cache entry")
    _kept_in.append(where)
    return where


def _keep_nothing(error: Exception, advice: str) -> None:
    """Says why nothing is kept, and keeps jax from trying: it would warn for every program."""
    reason = " ".join(str(error).split())
    print(f"note: compiled programs are not kept ({reason}); {advice}.", file=sys.stderr)
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()


def _users_folder() -> Path:
    """A folder of the user's for this kind of processor.

    Machines that share a home may have different processors, and a program for one need not run on
    another.
    """
    base = os.environ.get("XDG_CACHE_HOME") or ""
    # The specification of XDG says: a relative path is ignored.
    root = Path(base) if Path(base).is_absolute() else Path("~/.cache").expanduser()
    return root / "autoregressive-zoo" / "compiled" / _processor()


def _processor() -> str:
    """A name of this kind of processor: its architecture, and a digest of its instruction sets."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith(("flags", "Features")):
                digest = hashlib.blake2b(line.encode(), digest_size=4).hexdigest()
                return f"{platform.machine()}-{digest}"
    return platform.machine() or "unknown"


def _limit() -> int:
    """The most bytes of a folder that jax is set to."""
    return jax.config.jax_compilation_cache_max_size  # type: ignore[attr-defined]


def _mend(folder: Path) -> None:
    """Removes programs that are broken, and dates those without a date.

    With a limit, jax writes a program and then a file with the time of its last use, and no other
    program once that file of one is missing. It is missing where a process was killed while it
    wrote, and of what jax wrote without a limit. A program that cannot be read is never replaced.

    Raises:
      OSError: another process holds the folder's lock, such as one that was stopped; jax would wait
        for it at every program.
    """
    import filelock

    with filelock.FileLock(folder / LOCK, timeout=WAIT):
        for path in folder.glob("*-cache"):
            used = path.with_name(path.name.removesuffix("-cache") + "-atime")
            dated = used.exists() and used.stat().st_size > 0
            if not _is_whole(path, begins_alone=dated):
                path.unlink(missing_ok=True)
                used.unlink(missing_ok=True)
            elif not dated:
                used.write_bytes(path.stat().st_mtime_ns.to_bytes(8, "little"))


def _is_whole(path: Path, begins_alone: bool) -> bool:
    """Whether a program begins as it should, and unless that is enough, can be unpacked."""
    with path.open("rb") as file:
        begins = file.read(4).startswith(STARTS)
    if begins_alone or not begins:
        return begins
    try:
        from jax._src.compilation_cache import decompress_executable  # another jax may lack it

        return bool(decompress_executable(path.read_bytes()))
    except Exception:  # of the library that unpacks it
        return False
