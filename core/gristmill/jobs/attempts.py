"""`Attempts`: numbered folders, each of which is begun by one of those who try."""

import json
from typing import Any

from gristmill.storage.location import join
from gristmill.storage.storage import Storage

__all__ = ["Attempts", "dump"]

_CLAIM = "claim.json"


def dump(value: Any) -> bytes:
    """A value as records hold it."""
    return json.dumps(value, ensure_ascii=False, indent=1).encode()


class Attempts:
    """The runs of a job, or the starts of a service.

    Args:
        storage: where.
        folder: of the attempts, `000001` and so on.

    Example:
        >>> runs = Attempts(storage, "memory://attempts-of-an-example")
        >>> runs.begin({"who": "me"}, after=0), runs.begin({"who": "you"}, after=0), runs.latest()
        (True, False, 1)
    """

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage = storage
        self._folder = folder

    def folder_of(self, number: int) -> str:
        """Where an attempt stands."""
        return join(self._folder, f"{number:06d}")

    def latest(self) -> int | None:
        """The newest attempt; None where there is none."""
        # a folder without a claim is what somebody left who was killed while claiming
        for name in sorted(self._storage.children(self._folder), reverse=True):
            if name.isdecimal() and self.is_there(int(name)):
                return int(name)
        return None

    def is_there(self, number: int) -> bool:
        """Whether an attempt was begun, and its record stands."""
        return self._storage.exists(join(self.folder_of(number), _CLAIM))

    def begin(self, claim: dict[str, Any], *, after: int) -> bool:
        """Begin the attempt after `after` (0 for the first); False when another has begun it."""
        try:
            self._storage.write_bytes(join(self.folder_of(after + 1), _CLAIM), dump(claim), exclusive=True)
        except FileExistsError:
            return False
        return True
