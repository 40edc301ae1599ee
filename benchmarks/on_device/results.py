"""The results of a device check: lines of JSON, written at once, and read again to continue."""

import json
import os
import time
from pathlib import Path
from typing import Any

BEGAN = time.monotonic()


def folder() -> Path:
    """Where the results lie: `$OUT`, or `device_out`."""
    return Path(os.environ.get("OUT") or "device_out").absolute()


def emit(part: str, key: str, **values: Any) -> None:
    """Appends one line to the results and prints it."""
    line = {"part": part, "key": key, **values, "at": round(time.monotonic() - BEGAN, 1)}
    text = json.dumps(line, default=float)
    with (folder() / "results.jsonl").open("a") as file:
        file.write(text + "\n")
    print(text[:400], flush=True)


def rows() -> list[dict[str, Any]]:
    """All lines so far; one that was cut off, by a kill or a full disk, is left out."""
    path = folder() / "results.jsonl"
    found = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and {"part", "key"} <= row.keys():
            found.append(row)
    return found


def measured() -> set[tuple[str, str]]:
    """(part, key) of everything that was measured."""
    return {(row["part"], row["key"]) for row in rows() if "error" not in row}
