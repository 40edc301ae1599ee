"""The results of a device check: lines of JSON, written at once, and read again to continue."""

import json
import os
import time
from pathlib import Path
from typing import Any

BEGAN = time.monotonic()
RESULTS = "results.jsonl"
SIZES = ("paper", "tiny")
PRECISIONS = ("default", "highest")
DTYPES = ("float32", "bfloat16")
FAILED = "failed: "  # how an outcome of numerics begins that should be "ok"


def folder() -> Path:
    """Where the results lie: `$OUT`, or `device_out`."""
    return Path(os.environ.get("OUT") or "device_out").absolute()


def make_folder() -> None:
    """Makes the folder of the results.

    Raises:
      ValueError: it cannot be written.
    """
    try:
        folder().mkdir(parents=True, exist_ok=True)
        with (folder() / RESULTS).open("ab"):
            pass
    except OSError as error:
        raise ValueError(
            f"{folder()} cannot be written ({error.strerror}): choose another by OUT=FOLDER."
        ) from None


def emit(part: str, key: str, **values: Any) -> None:
    """Appends one line to the results and prints it; numbers that are infinite or nan become null."""
    from zoo.foundation.files import to_json

    line = {"part": part, "key": key, **values, "at": round(time.monotonic() - BEGAN, 1)}
    text = to_json(line)
    with (folder() / RESULTS).open("ab+") as file:
        # The last line may be cut off, by a kill or a full disk: it must not spoil this one.
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        whole = file.read(1) in (b"", b"\n")
        file.write(("" if whole else "\n").encode() + text.encode() + b"\n")
    print(text[:400], flush=True)


def rows() -> list[dict[str, Any]]:
    """All lines so far; one that was cut off, by a kill or a full disk, is left out."""
    path = folder() / RESULTS
    found = []
    for line in path.read_text("utf-8", "replace").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and {"part", "key"} <= row.keys():
            found.append(row)
    return found


def versions() -> dict[str, Any]:
    """On what the results were measured: jax, devices, size; empty if there are none."""
    found = [row for row in rows() if (row["part"], row["key"]) == ("env", "versions")]
    return found[-1] if found else {}


def outcomes() -> dict[str, str]:
    """What each check of numerics found, the newest, by its key, such as made/default/causal."""
    return {row["key"]: row["found"] for row in rows() if row["part"] == "check" and "found" in row}


def failed() -> list[str]:
    """What numerics found wrong, a line for each check."""
    return [f"{key}: {found}" for key, found in outcomes().items() if found.startswith(FAILED)]


def measured() -> set[tuple[str, str]]:
    """(part, key) of everything that was measured."""
    return {(row["part"], row["key"]) for row in rows() if "error" not in row}


def in_one_line(error: Exception) -> str:
    """The class and the beginning of an error.

    Example:
      >>> in_one_line(ValueError("no  room"))
      'ValueError: no room'
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())[:240]}"
