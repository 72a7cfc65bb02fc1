"""Formats: what a file's name says about how its rows are stored."""

from pathlib import PurePosixPath
from typing import Literal

__all__ = ["SUFFIXES", "Format", "codec_of", "delimiter_of", "format_of"]

Format = Literal["parquet", "csv", "jsonl", "arrow"]

SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".arrow": "arrow",
    ".feather": "arrow",
}
_CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}


def codec_of(location: str) -> str | None:
    """The compression of a text file as Arrow names it; None when its name tells of none."""
    return _CODECS.get(PurePosixPath(location).suffix.lower())


def _plain_suffix(location: str) -> str:
    path = PurePosixPath(location)
    return (PurePosixPath(path.stem) if path.suffix.lower() in _CODECS else path).suffix.lower()


def format_of(location: str) -> Format | None:
    """The format of a file by its suffix; None when it is not known.

    Example:
        >>> format_of("s3://bucket/day=1/part-0.csv.gz")
        'csv'
    """
    found = SUFFIXES.get(_plain_suffix(location))
    if codec_of(location) is not None and found not in ("csv", "jsonl"):
        return None
    return found


def delimiter_of(location: str) -> str:
    """What separates the values of a delimited text file."""
    return "\t" if _plain_suffix(location) == ".tsv" else ","
