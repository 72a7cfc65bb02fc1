"""Whether rows gain by being sent in the order of what they begin with."""

from collections import deque
from collections.abc import Sequence

__all__ = ["PrefixSample", "shared_length"]

_SAMPLE = 2_048
_EVERY = 1_024
_PAIRS = 256
_LONGEST = 4_096
_GRAIN = 64
"""Characters: engines keep what they have computed in blocks of 16 tokens or more, so less saves nothing."""

_BEGIN = 0.10
_END = 0.05


def shared_length(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning.

    Example:
        >>> shared_length("translate: cat", "translate: dog")
        11
    """
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


class PrefixSample:
    """The keys of the rows that came last, looked at now and then.

    Rows gain where neighbours in sorted order share more of their keys than neighbours in the order of arrival do.
    Where all rows begin alike, or come grouped already, nothing is gained.

    Attributes:
        is_worth: whether sorting saves a tenth of all keys; once it does, a twentieth is enough.
    """

    def __init__(self) -> None:
        self.is_worth = False
        self._keys: deque[str] = deque(maxlen=_SAMPLE)
        self._seen = self._unseen = 0

    def add(self, keys: Sequence[str]) -> None:
        """Take in the keys of some more rows, in the order of arrival."""
        self._keys.extend(key[:_LONGEST] for key in keys)
        self._unseen += len(keys)

    @property
    def is_due(self) -> bool:
        """Whether so many keys are new that it pays to look again: as many as were seen, or a thousand."""
        return self._unseen >= min(_EVERY, max(1, self._seen))

    def look_at_news(self) -> bool:
        """As `look`, where there are new keys; `is_worth`."""
        return self.look() if self._unseen else self.is_worth

    def look(self) -> bool:
        """Look whether rows gain; `is_worth`."""
        self._seen += self._unseen
        self._unseen = 0
        self.is_worth = self.gain() >= (_END if self.is_worth else _BEGIN)
        return self.is_worth

    def gain(self) -> float:
        """The share of all keys' characters, from 0 to 1, that neighbours share in sorted order and not in this one."""
        keys = list(self._keys)
        total = sum(map(len, keys))
        if len(keys) < 2 or not total:
            return 0.0
        saved = _shared(sorted(keys)) - _shared(keys)
        return saved * len(keys) / total


def _shared(keys: Sequence[str]) -> float:
    """Characters that a key shares with the one before it, on average, as far as it pays."""
    pairs = len(keys) - 1
    step = max(1, pairs // _PAIRS)
    places = range(0, pairs, step)
    return sum(shared_length(keys[at], keys[at + 1]) // _GRAIN * _GRAIN for at in places) / len(places)
