"""A request as a pipeline's definition gives it: specs may be dicts, and texts templates.

Names are checked where the definition is read, values when it runs. Shared by all orchestrators.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from gristmill.errors import SpecError
from gristmill.spec.base import Spec
from gristmill.spec.input import InputSpec
from gristmill.spec.job import JobSpec
from gristmill.spec.output import OutputSpec

if TYPE_CHECKING:
    from gristmill.settings import Settings

__all__ = [
    "INPUTS",
    "as_fields",
    "as_location",
    "check_fields",
    "check_inputs",
    "check_seconds",
    "digest",
    "input_arguments",
    "locations_in",
    "read_flag",
    "spec_arguments",
]

_SPECS: dict[str, type[Spec]] = {"output_spec": OutputSpec, "input_spec": InputSpec, "job_spec": JobSpec}
_ALIASES = {"stage_location", "base_stage_location"}
_LISTING = {"location", "pattern", "column_name"}
INPUTS = ("input_location", "query", "input_files")


_QUOTED = re.compile(r"'([^'\n]+)'")


def as_location(value: Any) -> Any:
    """A path as text, which Airflow renders and lineage reads; anything else as it is."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def check_seconds(name: str, value: Any) -> None:
    """Refuse what is no time to wait, before there is a job whose wait would fail of it.

    Raises:
        SpecError: it is no number above 0.

    Example:
        >>> check_seconds("poll_interval", 0.5)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise SpecError(f"{name}: give seconds above 0, such as 30 (given: {value!r})")


def as_fields(value: Any) -> Any:
    """A spec as a plain dict, whose texts Airflow renders; anything else as it is."""
    return value.model_dump(mode="json", exclude_unset=True) if isinstance(value, Spec) else value


def check_fields(name: str, value: Any) -> None:
    """Refuse a dict with a field that its spec does not have; values may still be templates.

    Raises:
        SpecError: it has one.

    Example:
        >>> check_fields("output_spec", {"location": "s3://lake/{{ partition }}"})
    """
    if not isinstance(value, Mapping):
        return
    known = _LISTING if name == "input_files" else set(_SPECS[name].model_fields) | _ALIASES
    unknown = sorted(set(map(str, value)) - known)
    if unknown:
        fields = ", ".join(sorted(known - _ALIASES))
        raise SpecError(f"{name}.{unknown[0]} is not a field of it; there are: {fields}")


def check_inputs(given: Mapping[str, Any]) -> None:
    """Refuse none, or several, of the ways to say what the input is.

    Raises:
        SpecError: one is missing, or there are too many.
    """
    named = [name for name in INPUTS if given[name] is not None]
    if len(named) != 1:
        which = f"{' and '.join(named)} were given" if named else "none was given"
        raise SpecError(f"give exactly one of {', '.join(INPUTS)}; {which}")


def input_arguments(given: Mapping[str, Any], settings: "Settings") -> dict[str, Any]:
    """The input as `run_batch` takes it.

    Args:
        given: `input_location`, `query` and `input_files`, rendered; one of them is set.
        settings: give the stages of a listing.

    Raises:
        SpecError: as `check_inputs`, or a listing has no location.
        EmptyInputError: a listing finds no files.
    """
    check_inputs(given)
    if given["input_files"] is None:
        return {name: given[name] for name in ("input_location", "query") if given[name] is not None}
    from gristmill.api import list_files

    listing = given["input_files"]
    if isinstance(listing, str):
        listing = {"location": listing}
    if not isinstance(listing, Mapping):
        raise SpecError(
            "input_files: give a location, or a dict such as {'location': '@images', 'pattern': r'.*\\.jpg'} "
            f"(given: {type(listing).__name__})"
        )
    check_fields("input_files", listing)
    if "location" not in listing:
        raise SpecError("input_files.location: is missing; give a folder or a stage")
    return {"X": list_files(**listing, settings=settings)}


def spec_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """The specs as `run_batch` takes them; the task waits, so the job does not block.

    Raises:
        SpecError: one is none, or a field has a wrong value.
    """
    arguments: dict[str, Any] = {}
    for name, kind in _SPECS.items():
        value = given[name]
        if value is None:
            continue
        if not isinstance(value, Mapping):
            raise SpecError(
                f"{name}: give {kind.__name__}(...) or a dict of its fields (given: {type(value).__name__})"
            )
        fields = {field: item for field, item in value.items() if field != "block"}
        arguments[name] = kind(**fields)
    return arguments


def read_flag(name: str, value: Any) -> bool:
    """A yes or no that may have come out of a template as text.

    Raises:
        SpecError: it is neither.

    Example:
        >>> read_flag("force_rerun", "True"), read_flag("force_rerun", "")
        (True, False)
    """
    if isinstance(value, bool) or value is None:
        return bool(value)
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "none": False, "": False}
    if str(value).strip().lower() not in words:
        raise SpecError(f"{name}: {value!r} is neither yes nor no; give True or False")
    return words[str(value).strip().lower()]


def locations_in(query: str | None) -> list[str]:
    """The quoted texts of a query that look like locations.

    Example:
        >>> locations_in("SELECT * FROM 'lake/orders/*.parquet' WHERE region = 'eu'")
        ['lake/orders/*.parquet']
    """
    quoted = _QUOTED.findall(query or "")
    return list(dict.fromkeys(text for text in quoted if "/" in text or text.startswith("@")))


def digest(fields: Mapping[str, Any]) -> str:
    """What tells one rendered request from another: 16 hexadecimal digits.

    Example:
        >>> digest({"model": "echo:"}) == digest({"model": "echo:row"})
        False
    """
    return hashlib.blake2b(json.dumps(_plain(fields)).encode(), digest_size=8).hexdigest()


def _plain(value: Any) -> Any:
    """What JSON takes, whatever keys there are; of objects the class alone, since their texts differ by process."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        return sorted(([repr(name), _plain(item)] for name, item in value.items()), key=lambda pair: str(pair[0]))
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, date | os.PathLike) else type(value).__qualname__
