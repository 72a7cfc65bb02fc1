"""What people type becomes the parts of a request; wrong text is a `SpecError` that names the option."""

import json
from collections.abc import Sequence
from typing import Any

from gristmill.errors import SpecError

__all__ = ["column_handling", "engine_options", "files_column", "job_spec", "params"]


def _pairs(option: str, texts: Sequence[str], example: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise SpecError(f"{option} {text!r} is not name=value; write it as {option} {example}")
        if name in pairs:
            raise SpecError(f"{option}: {name!r} is given twice")
        pairs[name] = value
    return pairs


def params(texts: Sequence[str]) -> dict[str, Any] | None:
    """Parameters by name; a value that reads as JSON is that value, any other is text.

    Example:
        >>> params(["temperature=0.2", 'stop=["END"]', "style=terse"])
        {'temperature': 0.2, 'stop': ['END'], 'style': 'terse'}
    """

    def value(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            return text

    pairs = _pairs("--param", texts, "temperature=0.2")
    return {name: value(text) for name, text in pairs.items()} or None


def column_handling(texts: Sequence[str]) -> dict[str, dict[str, str]] | None:
    """File columns by name, from `image=raw_bytes`.

    Example:
        >>> column_handling(["image=raw_bytes"])
        {'image': {'input_format': 'full_stage_path', 'convert_to': 'raw_bytes'}}
    """
    from gristmill.spec.enums import FileEncoding

    pairs = _pairs("--column", texts, "image=raw_bytes")
    known = [encoding.value for encoding in FileEncoding]
    for name, encoding in pairs.items():
        if encoding.strip().lower() not in known:
            raise SpecError(f"--column {name}={encoding}: {encoding!r} is not one of {', '.join(known)}")
    return {
        name: {"input_format": "full_stage_path", "convert_to": encoding.strip().lower()}
        for name, encoding in pairs.items()
    } or None


def engine_options(engine: str | None, arguments: Sequence[str]) -> dict[str, Any] | None:
    """The engine's options; None when nothing was said about it."""
    options: dict[str, Any] = {}
    if engine is not None:
        options["engine"] = engine
    if arguments:
        options["engine_args_override"] = list(arguments)
    return options or None


def files_column(given: str | None, handling: dict[str, dict[str, str]] | None) -> str:
    """The column a listing fills: the one asked for, else the only file column, else `FILE_PATH`."""
    if given is not None:
        return given
    return next(iter(handling)) if handling is not None and len(handling) == 1 else "FILE_PATH"


def job_spec(**fields: Any) -> dict[str, Any]:
    """The fields that were given."""
    return {name: value for name, value in fields.items() if value is not None}
