"""Which sentinels have landed at the places of a template since the last look: a round of bounded length.

What is known is data (`Known`): whoever goes round keeps it, and hands it to the next round.
"""

import hashlib
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field

from gristmill.outputs.condition import SentinelCondition, judge
from gristmill.outputs.known import Known, keys_of, version_key
from gristmill.outputs.layout import SENTINEL
from gristmill.outputs.places import Listing, Place
from gristmill.outputs.sighting import Sighting, sight
from gristmill.storage.location import is_local, join
from gristmill.storage.storage import Storage
from gristmill.wording.text import count, cut, one_line, scrubbed

__all__ = ["Landing", "Round", "go_round"]

_AT_ONCE = 16
"""Sentinels that are looked at once, where that is asked of a server."""
_STRETCH = 64
"""Places between two looks at the clock."""
_CARRIED = 3
"""Places that are waited for and named, from one round to the next."""
_LONGEST = 300
"""Characters of a reason: those of a storage's error may be a page."""
_ONCE_MORE = "its _SUCCESS is no manifest, and is looked at once more before it counts"


@dataclass(frozen=True, slots=True)
class Landing:
    """A sentinel that meets the condition, of a version that was not known.

    A file that was touched or put back is another version of the same publication, and so is any that was forgotten:
    `digest` tells, to those who keep account of what they did for whom.

    Attributes:
        place: where, and the fields of its path.
        sighting: what was seen.
    """

    place: Place
    sighting: Sighting

    @property
    def digest(self) -> str:
        """What tells this sentinel at this place from any other: the same for the same publication, always."""
        return hashlib.sha256(f"{self.place.location}\0{self.sighting.identity}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Round:
    """What one round has found.

    Attributes:
        known: for the next round.
        news: what has landed, in the order of the locations.
        places: how many there are.
        sentinels: at how many of those that were visited one stands.
        left: how many were not visited; the next round begins with them.
        waiting: places whose sentinel does not meet the condition, and why. Those of earlier rounds are named while
            they are few.
        troubles: what could not be looked at, and why.
    """

    known: Known
    news: tuple[Landing, ...] = ()
    places: int = 0
    sentinels: int = 0
    left: int = 0
    waiting: Mapping[str, str] = field(default_factory=dict)
    troubles: Mapping[str, str] = field(default_factory=dict)

    def told(self) -> str:
        """One line on what was found and what is waited for."""
        found = (
            f"{count(self.places, 'location')}, {f'{self.sentinels:,}' if self.sentinels else 'none'} with a {SENTINEL}"
        )
        if not self.places:
            found = "no location found" if self.troubles else "no location yet"
        news = f"{len(self.news):,} new" if self.news else "nothing new"
        parts = [found, *([news] if self.sentinels else [])]
        if self.left:
            parts.append(f"{count(self.left)} not visited yet, the next round goes on")
        return "; ".join(
            [", ".join(parts), *_few(self.waiting, "more wait"), *_few(self.troubles, "more cannot be looked at now")]
        )


def go_round(
    storage: Storage,
    listing: Listing,
    known: Known,
    condition: SentinelCondition,
    *,
    looks: int = 500,
    seconds: float = 20.0,
) -> Round:
    """Visit places, those first that are new, and look at each sentinel whose version is not known.

    A sentinel that is no manifest may be half written: it counts when the next round finds it unchanged. One that could
    not be looked at is looked at again in the next round, and holds up no other.

    Args:
        storage: where.
        listing: the places.
        known: what the last round knew.
        condition: what must be true of a sentinel.
        looks: how many sentinels are read at most, so how many land at most.
        seconds: no place is visited after so many, but for the first few.
    """
    begun = time.monotonic()
    keys = keys_of(place.location for place in listing.places)
    queues = [
        _from_turn((one for one in listing.places if (keys[one.location] in known.entries) is old), known.turns[old])
        for old in (False, True)
    ]
    turns = list(known.turns)
    tally = _Tally(condition, keys, dict(known.entries), dict(known.waiting))
    local = all(is_local(place.location) for place in listing.places[:1])
    with nullcontext() if local else ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="gristmill-landing") as pool:
        over = False
        while any(queues) and not over:
            for which, queue in enumerate(queues):
                size = min(_STRETCH, looks - tally.looks, len(queue))
                stretch = [queue.popleft() for _ in range(size)]
                for place, seen in _visited(storage, stretch, tally.before(stretch), pool):
                    tally.take(place, seen)
                if stretch:
                    turns[which] = stretch[-1].location if queue else ""
            over = tally.looks >= looks or time.monotonic() - begun >= seconds
    troubles = {**listing.troubles, **tally.troubles}
    if listing.places and not listing.troubles:
        # what is not there any more; where nothing at all is there, the storage may be away
        tally.forget_others()
    carried = dict(sorted(tally.waiting.items())[:_CARRIED])
    return Round(
        Known(known.of, tally.entries, (turns[0], turns[1]), carried),
        tuple(sorted(tally.news, key=lambda landing: landing.place.location)),
        places=len(listing.places),
        sentinels=tally.sentinels,
        left=sum(len(queue) for queue in queues),
        waiting=tally.waiting,
        troubles=troubles,
    )


@dataclass(slots=True)
class _Tally:
    condition: SentinelCondition
    keys: Mapping[str, int]
    entries: dict[int, int]
    waiting: dict[str, str]
    troubles: dict[str, str] = field(default_factory=dict)
    news: list[Landing] = field(default_factory=list)
    sentinels: int = 0
    looks: int = 0

    def before(self, places: Iterable[Place]) -> list[int | None]:
        """The digests of the versions that were seen last."""
        return [self.entries.get(self.keys[place.location]) for place in places]

    def take(self, place: Place, seen: "Sighting | None") -> None:
        """Count what was seen at a place; None stands for what is known."""
        location = place.location
        if seen is None:
            self.sentinels += 1
            return
        if seen.trouble is not None:
            self.troubles[location] = seen.trouble
            return
        key = self.keys[location]
        if not seen.exists:
            self.entries.pop(key, None)
            self.waiting.pop(location, None)
            return
        self.looks += 1
        self.sentinels += 1
        before, version = self.entries.get(key), version_key(location, seen.version)
        if before == version:  # of a storage that tells no versions
            return
        self.waiting.pop(location, None)
        unsettled = version_key(location, f"unsettled {seen.version}")
        if seen.manifest is None and before != unsettled:
            self.entries[key] = unsettled
            self.waiting[location] = _ONCE_MORE
            return
        self.entries[key] = version
        finding = judge(seen, self.condition)
        if finding.met:
            self.news.append(Landing(place, seen))
        else:
            self.waiting[location] = finding.reason

    def forget_others(self) -> None:
        """Forget what is no place any more."""
        there = set(self.keys.values())
        self.entries = {key: version for key, version in self.entries.items() if key in there}
        self.waiting = {location: why for location, why in self.waiting.items() if location in self.keys}


def _from_turn(places: Iterable[Place], turn: str) -> "deque[Place]":
    """The places after the one that was visited last, then the rest."""
    queue = deque(places)
    queue.rotate(-sum(1 for place in queue if place.location <= turn))
    return queue


def _visited(
    storage: Storage, places: list[Place], before: list[int | None], pool: ThreadPoolExecutor | None
) -> "Iterator[tuple[Place, Sighting | None]]":
    def visit(place: Place, version: int | None) -> "Sighting | None":
        return _look(storage, place.location, version)

    seen = map(visit, places, before) if pool is None else pool.map(visit, places, before)
    return zip(places, seen, strict=True)


def _look(storage: Storage, location: str, before: int | None) -> "Sighting | None":
    """What stands at a location; None where that is known."""
    try:
        info = storage.info(join(location, SENTINEL))
        if info.version and version_key(location, f"{info.version}:{info.size}") == before:
            return None
        return sight(storage, location)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return Sighting(location)
    except Exception as error:  # noqa: BLE001 - told beside what could be looked at
        return Sighting(location, trouble=f"{type(error).__name__}: {error}")


def _few(reasons: Mapping[str, str], rest: str) -> list[str]:
    told = [f"{place}: {cut(scrubbed(one_line(reasons[place])), _LONGEST)}" for place in sorted(reasons)[:_CARRIED]]
    return [*told, f"{count(len(reasons) - _CARRIED)} {rest}"] if len(reasons) > _CARRIED else told
