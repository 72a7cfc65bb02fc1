"""`_SUCCESS` as a file: the one name that every publication shares, so the one that must never be removed blindly."""

import contextlib
import hashlib
import re
import secrets

from gristmill.errors import OutputError
from gristmill.outputs.layout import SENTINEL, log_of
from gristmill.outputs.manifest import Manifest
from gristmill.storage.location import join
from gristmill.storage.storage import Storage

__all__ = ["digest", "drop_retired", "read_sentinel", "restore", "retire", "settled"]

_RETIRED = re.compile(r"retired-[0-9a-f]+\.json")


def digest(data: bytes) -> str:
    """What tells one sentinel's content from another's."""
    return hashlib.sha256(data).hexdigest()


def read_sentinel(storage: Storage, location: str) -> bytes | None:
    """The content of `_SUCCESS`; None when there is none."""
    try:
        return storage.read_bytes(join(location, SENTINEL))
    except FileNotFoundError:
        return None


def settled(data: bytes | None) -> Manifest | None:
    """The manifest in a sentinel; None when there is no sentinel, or another tool's."""
    if data is None:
        return None
    try:
        return Manifest.from_bytes(data, location="")
    except OutputError:
        return None


def retire(storage: Storage, location: str, *, expected: str) -> None:
    """Take `_SUCCESS` away if its content has the digest `expected`; else leave it.

    It is moved to a name of its own before it is looked at: what was moved is then certain (on a local disk, where a
    move is atomic), and a sentinel that someone put there in the meantime is put back. On an object store a move is a
    copy and a delete, and a sentinel put there between these two requests is lost.
    """
    aside = join(log_of(location), f"retired-{secrets.token_hex(6)}.json")
    try:
        storage.move(join(location, SENTINEL), aside)
        content = storage.read_bytes(aside)
    except FileNotFoundError:
        return  # gone, or dropped by someone who finished this very publication
    if digest(content) != expected:
        with contextlib.suppress(FileExistsError):
            storage.write_bytes(join(location, SENTINEL), content, exclusive=True)
    storage.delete(aside)


def restore(storage: Storage, location: str) -> bool:
    """Put back a sentinel that a killed process had taken by mistake; whether there was one.

    Only right while there is no `_SUCCESS` and nothing is being published; a rightful publication drops what it
    retires.
    """
    found = [(settled(storage.read_bytes(aside)), aside) for aside in _retired(storage, location)]
    manifests = [manifest for manifest, _ in found if manifest is not None]
    if not manifests:
        return False
    newest = max(manifests, key=lambda manifest: manifest.generation)
    with contextlib.suppress(FileExistsError):
        storage.write_bytes(join(location, SENTINEL), newest.to_bytes(), exclusive=True)
    return True


def drop_retired(storage: Storage, location: str) -> None:
    """Remove what killed processes left of sentinels they had retired."""
    for aside in _retired(storage, location):
        storage.delete(aside)


def _retired(storage: Storage, location: str) -> list[str]:
    files = (info.location for info in storage.list(log_of(location)))
    return [file for file in files if _RETIRED.fullmatch(file.rpartition("/")[2])]
