"""The file of compressed values: a header that says what is needed to read it, and the payload.

    magic (8 bytes) | version (1) | length of the header (4) | checksum (16) | header | payload | zeros

Numbers are little-endian, the header is JSON, and the checksum (BLAKE2b) is that of all bytes except
its own. Zeros follow if values are so certain that the payload has less than a byte for each 16,384
of them: so a reader takes memory by the size of a file, whatever its header claims.
"""

import functools
import hashlib
import json
import math
import os
import platform
import struct
import weakref
from pathlib import Path
from typing import Any

import jax
import jaxlib
import numpy as np
from jaxtyping import PyTree

import zoo
from sample.engines.cores import cores
from zoo.core.checkpoint import digest
from zoo.core.configs import to_config
from zoo.foundation.files import to_json
from zoo.foundation.precision import narrowed
from zoo.foundation.version import installed_version

MAGIC, VERSION = b"\x89arzoo\r\n", 3
_FIXED = struct.Struct("<8sBI16s")
_PER_BYTE = 2**14  # values for each byte behind the header, at most
_digests: dict[str, tuple[list[weakref.ref], str]] = {}  # of the last model


def wrapped(header: dict[str, Any], payload: bytes) -> bytes:
    """The file of a header and a payload.

    Example:
      >>> header, payload = unwrapped(wrapped({"num": 3}, b"bits"))
      >>> header["num"], payload
      (3, b'bits')
    """
    text = to_json({**header, "payload": len(payload)}).encode()
    payload = payload.ljust(-(-_claimed(header) // _PER_BYTE), b"\0")
    checksum = _checksum(VERSION, text, payload)
    return b"".join([_FIXED.pack(MAGIC, VERSION, len(text), checksum), text, payload])


def unwrapped(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the payload of a file.

    Raises:
      ValueError: it is empty, foreign, of another version, truncated or damaged.
    """
    expected = "expected what sample.compress returns, or make compress writes"
    if len(data) < _FIXED.size or data[: len(MAGIC)] != MAGIC:
        what = "empty" if not data else f"no compressed values of this zoo ({len(data):,} bytes)"
        raise ValueError(f"the data are {what}; {expected}.")
    _, version, size, checksum = _FIXED.unpack_from(data)
    if version > VERSION:
        raise ValueError(
            f"the data have version {version} of the format, and this release reads up to {VERSION}: "
            "install a newer release."
        )
    if version < VERSION:
        raise ValueError(
            f"the data have version {version} of the format, and this release reads {VERSION}: "
            "decompress them by the release that wrote them."
        )
    text, payload = data[_FIXED.size : _FIXED.size + size], data[_FIXED.size + size :]
    if len(text) < size:
        raise ValueError(f"the data are truncated or damaged: their header is cut off; {expected}.")
    try:
        header = json.loads(text)
        promised, claimed = int(header["payload"]), _claimed(header)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError("the data are damaged: their header is not readable.") from None
    if promised > len(payload):
        raise ValueError(
            f"the data are truncated: {promised - len(payload):,} of {promised:,} bytes are missing; "
            "copy them again."
        )
    if _checksum(version, text, payload) != checksum:
        raise ValueError("the data are damaged since they were written: copy them again.")
    if claimed > _PER_BYTE * len(payload):
        raise ValueError(
            f"the data are damaged: {len(payload):,} bytes cannot hold {claimed:,} values."
        )
    return header, payload[:promised]


def _claimed(header):
    """How many values a header claims."""
    counts = [header.get("num", 0), *header.get("site_shape", [])]
    if not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError("counts must be whole numbers")
    return math.prod(counts)


def _checksum(version, text, payload):
    found = hashlib.blake2b(bytes([version]), digest_size=16)
    found.update(text)
    found.update(payload)
    return found.digest()


def model_digest(model: zoo.Autoregressive, variables: zoo.Variables) -> str:
    """A hash of a model and its variables; of a sequence its length does not count."""
    config = to_config(model)
    if model.writes_tokens or model.kind == "sound":
        config.pop("site_shape", None)
    text, leaves = json.dumps(config, default=str), jax.tree.leaves(variables)
    known = _digests.get(text)
    if known and len(known[0]) == len(leaves) and all(map(_is, known[0], leaves)):
        return known[1]
    found = digest(text, _arrays(variables))
    _digests.clear()
    if all(isinstance(leaf, jax.Array) for leaf in leaves):  # others may be written to
        _digests[text] = [weakref.ref(leaf) for leaf in leaves], found
    return found


def _is(reference, leaf):
    return reference() is leaf


def context_digest(context: PyTree) -> str | None:
    """A hash of a context; None without one."""
    if context is None:
        return None
    return digest(str(jax.tree.structure(context)), _arrays(narrowed(context)))


def _arrays(tree):
    named = jax.tree.leaves_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in named}


def surroundings() -> dict[str, str]:
    """All that decides the last bit of a float32, in words: versions, hardware and threads."""
    device = jax.local_devices()[0]
    hardware = f"{device.platform} {device.device_kind}"
    if device.platform == "cpu":
        hardware = f"{platform.machine()} {_processor()} with {cores()} threads"
    return {
        "release": installed_version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "hardware": hardware,
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
    }


def check_surroundings(found: Any) -> None:
    """Raises ValueError, in one line, unless values coded there can be decoded here."""
    here = surroundings()
    if not isinstance(found, dict):
        raise ValueError("the data are damaged: their header is not readable.")
    for name, value in here.items():
        if found.get(name) != value:
            raise ValueError(
                f"the data were compressed with {name} {found.get(name)!r}, and here it is {value!r}: "
                "the last bit of the model's probabilities would differ; decompress them there."
            )


@functools.cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "processor"
