"""Keys of services: files on this machine that only their user can read, away from records that others may."""

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

from gristmill.errors import SpecError

__all__ = ["check_key", "digest_of", "forget_key", "keep_key", "key_of", "local_folder", "log_folder", "new_key"]

_SHORTEST = 16


def local_folder() -> Path:
    """Where this machine keeps what belongs to services and must not stand at a shared home."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "gristmill" / "services"


def log_folder(home: str, name: str) -> Path:
    """Where the logs of a service stand whose home is not on this machine; services of two homes may have one name."""
    return local_folder() / "logs" / f"{name}-{hashlib.sha256(home.encode()).hexdigest()[:16]}"


def new_key() -> str:
    """A key that nobody guesses."""
    return f"gm-{secrets.token_urlsafe(32)}"


def check_key(key: str) -> str:
    """A key of a user's own, if it can be one.

    Raises:
        SpecError: it is short, or holds what cannot be sent; the message does not repeat it.

    Example:
        >>> check_key("short")
        Traceback (most recent call last):
        gristmill.errors.SpecError: api_key: has fewer than 16 characters; leave it out, and one is made
    """
    if len(key) < _SHORTEST:
        raise SpecError(f"api_key: has fewer than {_SHORTEST} characters; leave it out, and one is made")
    if not all("!" <= character <= "~" for character in key):
        raise SpecError("api_key: holds a line break, a space or another character that no key has")
    return key


def digest_of(key: str) -> str:
    """What may be told of a key: by this a server, and a creator of the same service, know it again."""
    return hashlib.sha256(key.encode()).hexdigest()


def keep_key(key: str) -> str:
    """Keep a key on this machine, for other processes of this user.

    Returns:
        The name by which `key_of` finds it.
    """
    name = secrets.token_hex(16)
    folder = local_folder() / "keys"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(file, "w", encoding="ascii") as opened:
            opened.write(key)
            opened.flush()
            os.fsync(opened.fileno())
    except BaseException:
        forget_key(name)
        raise
    return name


def key_of(name: str) -> str | None:
    """A key by its name; None where this machine, or this user, does not have it."""
    try:
        return (local_folder() / "keys" / Path(name).name).read_text(encoding="ascii")
    except (FileNotFoundError, PermissionError):
        return None


def forget_key(name: str) -> None:
    """Remove a key, if it is here."""
    with contextlib.suppress(FileNotFoundError):
        (local_folder() / "keys" / Path(name).name).unlink()
