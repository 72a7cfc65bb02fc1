"""`Known`: which sentinels were looked at already, as a short text that a scheduler keeps between two looks."""

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Self

__all__ = ["Known", "keys_of", "version_key"]

_FORMAT = 1
_LOW = 2
_VERSION = 3
"""Bytes of a place's key that stand as they are, and of the digest of a sentinel's version."""


@dataclass(frozen=True, slots=True)
class Known:
    """The newest version of each sentinel that was looked at, and where the next round goes on.

    Places and versions are digests, 4 and 3 bytes: 100,000 places make a text of 0.7 MB. That a new version has the
    digest of the one before it, and is missed, happens once in 16 million publications. A place that is new is never
    missed.

    Attributes:
        of: what was looked for; a text of something else is not taken up.
        entries: digests of versions by those of places; see `keys_of` and `version_key`.
        turns: the places that were visited last, of those that are new and of the others; empty: begin at the start.
        waiting: a few places whose sentinel is not what is waited for, and why.
    """

    of: str
    entries: Mapping[int, int] = field(default_factory=dict)
    turns: tuple[str, str] = ("", "")
    waiting: Mapping[str, str] = field(default_factory=dict)

    def to_text(self) -> str:
        """The text, which `from_text` reads."""
        packed = base64.b64encode(_packed(self.entries)).decode()
        told = {"format": _FORMAT, "of": self.of, "turns": self.turns, "waiting": dict(self.waiting), "seen": packed}
        return json.dumps(told, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str | None, *, of: str) -> Self:
        """What a text tells; nothing, where there is none, it is damaged, or of something else than `of`.

        Example:
            >>> known = Known("a", {7: 5}, turns=("", "/lake/eu"))
            >>> Known.from_text(known.to_text(), of="a") == known, Known.from_text(known.to_text(), of="b").entries
            (True, {})
        """
        try:
            told = json.loads(text or "{}")
            if told.get("format") != _FORMAT or told["of"] != of:
                return cls(of)
            entries = _unpacked(base64.b64decode(told["seen"], validate=True))
            new, old = told["turns"]
            waiting = {str(location): str(reason) for location, reason in told["waiting"].items()}
            return cls(of, entries, (str(new), str(old)), waiting)
        except (AttributeError, KeyError, TypeError, ValueError, EOFError, zlib.error, binascii.Error):
            return cls(of)


def keys_of(locations: Iterable[str]) -> dict[str, int]:
    """The digests of places, no two alike: of two that would be, the later gets another.

    Should the earlier go, the later is looked at once more.
    """
    keys: dict[str, int] = {}
    taken: set[int] = set()
    for location in locations:
        text = location.encode()
        while (key := _digest(text, _LOW + 2)) in taken:
            text += b"\0"
        taken.add(key)
        keys[location] = key
    return keys


def version_key(location: str, version: str) -> int:
    """The digest of the version of a sentinel at a place."""
    return _digest(f"{location}\0{version}".encode(), _VERSION)


def _digest(data: bytes, size: int) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=size).digest(), "big")


def _packed(entries: Mapping[int, int]) -> bytes:
    """Keys in order: of their upper halves the steps, which compress well, then what does not compress."""
    keys = sorted(entries)
    upper = [key >> (8 * _LOW) for key in keys]
    steps = b"".join((after - before).to_bytes(2, "big") for before, after in pairwise([0, *upper]))
    low = b"".join((key & (256**_LOW - 1)).to_bytes(_LOW, "big") for key in keys)
    return (
        len(keys).to_bytes(4, "big")
        + low
        + b"".join(entries[key].to_bytes(_VERSION, "big") for key in keys)
        + zlib.compress(steps)
    )


def _unpacked(data: bytes) -> dict[int, int]:
    count = int.from_bytes(data[:4], "big")
    low, versions = data[4 : 4 + _LOW * count], data[4 + _LOW * count : 4 + (_LOW + _VERSION) * count]
    unpacker = zlib.decompressobj()
    steps = unpacker.decompress(data[4 + (_LOW + _VERSION) * count :], 2 * count + 1)
    if not unpacker.eof or len(versions) != _VERSION * count or len(steps) != 2 * count:
        raise ValueError("cut off")
    upper = accumulate(int.from_bytes(steps[at : at + 2], "big") for at in range(0, len(steps), 2))
    keys = (
        (high << (8 * _LOW)) | int.from_bytes(low[_LOW * at : _LOW * (at + 1)], "big") for at, high in enumerate(upper)
    )
    return {key: int.from_bytes(versions[_VERSION * at : _VERSION * (at + 1)], "big") for at, key in enumerate(keys)}
