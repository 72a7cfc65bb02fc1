"""Where the files of an output stand.

::

    <location>/_SUCCESS                              the sentinel: the manifest, written last
    <location>/part-00000-<job>-<token>.parquet      the rows, in order; the token belongs to one publication
    <location>/_gristmill/log/00000007.jsonl         the log of claims and publications
    <location>/_gristmill/<name>/parts/              parts as workers leave them
    <location>/_gristmill/<name>/commits/            which of them count
"""

import re

from gristmill.errors import LocationError
from gristmill.storage.location import join

__all__ = [
    "PRIVATE",
    "SENTINEL",
    "commits_of",
    "final_name",
    "is_stray",
    "log_of",
    "parts_of",
    "private_of",
    "staging_of",
]

SENTINEL = "_SUCCESS"
PRIVATE = "_gristmill"
_LOG = "log"

_STRAY = re.compile(r"\.[0-9a-f]{16}\.tmp")


def private_of(location: str) -> str:
    """The folder at an output location that is Gristmill's own; readers skip it."""
    return join(location, PRIVATE)


def staging_of(location: str, name: str) -> str:
    """The folder of a job's work in progress.

    Raises:
        LocationError: the name is none for a folder, or is the log's.
    """
    if name in ("", ".", "..", _LOG) or "/" in name:
        raise LocationError(f"{name!r} cannot name a staging folder beside {_LOG!r}")
    return join(location, PRIVATE, name)


def parts_of(staging: str) -> str:
    """The folder of the parts that workers write."""
    return join(staging, "parts")


def commits_of(staging: str) -> str:
    """The folder of the commit log."""
    return join(staging, "commits")


def log_of(location: str) -> str:
    """The folder of the log of claims and publications."""
    return join(location, PRIVATE, _LOG)


def final_name(index: int, job: str, token: str) -> str:
    """The name of a published part; no other publication, of this job or another, has the same token."""
    short = re.sub(r"[^A-Za-z0-9]", "", job)[-8:] or "job"
    return f"part-{index:05d}-{short}-{token}.parquet"


def is_stray(name: str) -> bool:
    """Whether a file at a local location, or in its log, is what a killed writer of a small file left there."""
    return _STRAY.fullmatch(name) is not None
