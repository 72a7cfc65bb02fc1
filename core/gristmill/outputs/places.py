"""`Places`: the locations that a template stands for, found by listing no more than its own folders."""

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from gristmill.errors import LocationError, SpecError
from gristmill.outputs.layout import SENTINEL
from gristmill.spec.partition import partition_in
from gristmill.spec.template import Template
from gristmill.storage.failure import may_pass
from gristmill.storage.location import file_url_path, is_local, join
from gristmill.storage.storage import Storage

__all__ = ["Listing", "Place", "Places"]

_AT_ONCE = 16
"""Folders that are listed at once, where that is asked of a server."""


@dataclass(frozen=True, slots=True)
class Place:
    """A location that a template stands for.

    Attributes:
        location: in normal form.
        fields: the template's fields, as partitions: what is encoded in the path is decoded.
    """

    location: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Listing:
    """The places that were found.

    Attributes:
        places: in the order of their locations.
        troubles: folders that could not be listed, and why; what is below them is not known.
    """

    places: tuple[Place, ...] = ()
    troubles: Mapping[str, str] = field(default_factory=dict)


class Places:
    """A location with fields, such as `s3://lake/scores/{region}/{date}`, and which folders there are.

    A field is a folder's name or a part of it (`date={date}`). Folders whose names begin with `_` or `.` are none,
    where the template does not say so itself. A location without fields is one place.

    Args:
        location: a stage, path or URL, whose first folder is fixed.
        what: the name of the field that it was given as, for errors.

    Raises:
        SpecError: it cannot be right; the message says how to write it.

    Example:
        >>> storage.write_bytes("memory:///lake/scores/eu/2026-01-01/_SUCCESS", b"")
        >>> [place.fields for place in Places("memory://lake/scores/{region}/{date}").found(storage).places]
        [{'region': 'eu', 'date': '2026-01-01'}]
    """

    def __init__(self, location: "str | os.PathLike[str]", *, what: str = "location") -> None:
        text = os.fspath(location)
        self.text = text
        self.what = what
        whole = Template(text, what=what)
        whole.match("")  # refuses what cannot be read back
        self.fields = whole.fields
        scheme, mark, path = text.partition("://")
        if not mark or (local := file_url_path(text)) is not None:
            scheme, mark, path = "", "", text if not mark else str(local)
        segments = path.split("/")
        first = next((at for at, one in enumerate(segments) if Template(one, what=what).fields), len(segments))
        fixed, self._levels = segments[:first], [one for one in segments[first:] if one]
        self._check(fixed)
        self._base = scheme + mark + Template("/".join(fixed), what=what).fill({})

    def _check(self, fixed: list[str]) -> None:
        given = f"{self.what}: {self.text!r}"
        if not any(fixed) and not self.fields:
            raise SpecError(f"{given} names no folder; give a path, a URL or a stage")
        if not any(fixed):
            raise SpecError(
                f"{given} begins with a field, so where to look is not known; begin with a folder, bucket or stage"
            )
        if {".", ".."} & set(self._levels):
            raise SpecError(f"{given} has '.' or '..' after its first field; write the path out")
        if "*" in self.text:
            raise SpecError(f"{given} has a '*'; give the part a name instead, such as {{part}}")
        if [one for one in (*fixed, *self._levels) if one][-1] == SENTINEL:
            raise LocationError(f"{given} names the sentinel itself; give the folder that it stands in")

    def found(self, storage: Storage) -> Listing:
        """The folders that fit the template now, whatever is in them.

        Only the folders above a field are listed, each once.

        Raises:
            LocationError: the stage is not known.
            OSError: the storage refuses, for example the credentials. That a bucket or folder is not there is no error.
        """
        base = storage.resolve(self._base, what=self.what)
        places, troubles = [Place(base, {})], dict[str, str]()
        for segment in self._levels:
            template = Template(segment, what=self.what)
            if not template.fields:
                name = template.fill({})
                places = [Place(join(place.location, name), place.fields) for place in places]
                continue
            listed = _listed(storage, [place.location for place in places])
            below = []
            for place, (names, error) in zip(places, listed, strict=True):
                if error is not None:
                    if place.location == base and not may_pass(error):
                        raise error
                    troubles[place.location] = f"{type(error).__name__}: {error}"
                below += [one for name in names if (one := _below(place, name, template)) is not None]
            places = below
        return Listing(tuple(sorted(places, key=lambda place: place.location)), troubles)


def _listed(storage: Storage, folders: list[str]) -> "Iterable[tuple[list[str], Exception | None]]":
    """The names of the folders in each of some folders, or why they are not known."""

    def names(folder: str) -> "tuple[list[str], Exception | None]":
        try:
            return [path.rpartition("/")[2] for path in storage.entries(folder)[0]], None
        except Exception as error:  # noqa: BLE001 - told beside what could be listed
            return [], error

    if len(folders) < 2 or is_local(folders[0]):
        return [names(folder) for folder in folders]
    with ThreadPoolExecutor(min(_AT_ONCE, len(folders)), thread_name_prefix="gristmill-places") as pool:
        return list(pool.map(names, folders))


def _below(place: Place, folder: str, template: Template) -> Place | None:
    if folder[:1] in ("_", ".") and template.text[:1] == "{" and template.text[:2] != "{{":
        return None
    values = template.match(folder)
    if values is None or any("\ud800" <= character <= "\udfff" for character in folder):
        return None  # a name that is no text cannot be told to anybody
    fields = {name: partition_in(value) for name, value in values.items()}
    if any(place.fields.get(name, value) != value for name, value in fields.items()):
        return None  # a field that stands twice has one value
    return Place(join(place.location, folder), {**place.fields, **fields})
