"""Which engine runs the model, and how: `inference_engine_options`."""

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from importlib.metadata import entry_points
from typing import Any, Self

from gristmill.errors import SpecError
from gristmill.spec.base import Spec
from gristmill.spec.enums import InferenceEngine
from gristmill.spec.registry import checked_registry

__all__ = ["ENGINE_GROUP", "EngineOptions", "check_engine_args", "refuse_secrets"]

ENGINE_GROUP = "gristmill.engines"
"""The entry point group in which engines are found."""

_FIELD = "inference_engine_options"
_FIELDS = ("engine", "engine_args_override", "registry")
_OWNED = frozenset(
    {
        *(
            "host",
            "port",
            "api-key",
            "allowed-headers",
            "enable-ssl-refresh",
            "root-path",
            "middleware",
            "lora-modules",
        ),
        *("prompt-adapter", "enable-lora", "disable-frontend-multiprocessing", "log-config-file"),
    }
)
_SECRET = re.compile(
    r"(^|[_\-])(api[_\-]?keys?|tokens?|secrets?|passwords?|authorization|credentials?)$", re.IGNORECASE
)
_COUNTS_TOKENS = re.compile(
    r"(max|min|num|stop|special|pad|eos|bos|batched|new|completion|prompt)[\w\-]*tokens?$", re.IGNORECASE
)
_SHAPES = frozenset({"response_format", "structured_outputs"})
"""They hold JSON schemas, whose properties may well be named `token`."""


class EngineOptions(Spec):
    """Which engine runs the model, and how.

    Attributes:
        engine: the engine's name, in lower case; None lets the model decide.
        engine_args_override: arguments for the engine's own server, each as one text: `--name=value`, `--name value` or
            `--name`.
        registry: the address of the registry that a `models:` reference is looked up in, instead of the settings'.
            It is an option and not an argument of its own, so that all that takes engine options takes it: the command
            line, declared jobs, the tasks and assets of orchestrators. Engines are not told.
        options: the engine's own options, such as `task`; the engine says which it knows.

    Example:
        >>> EngineOptions.of({"engine": "python_generic", "task": "text-classification"}).options
        {'task': 'text-classification'}
    """

    engine: str | None = None
    engine_args_override: tuple[str, ...] = ()
    registry: str | None = None
    options: dict[str, Any] = {}

    def __init__(self, /, **data: Any) -> None:
        # Checked before the fields are: their errors show values, and a secret must not be shown.
        options = data.get("options")
        if isinstance(options, Mapping):
            refuse_secrets(options, _FIELD)
        if data.get("engine") is not None:
            data["engine"] = _engine_name(data["engine"])
        if data.get("engine_args_override") is not None:
            data["engine_args_override"] = check_engine_args(data["engine_args_override"])
        else:
            data.pop("engine_args_override", None)
        if data.get("registry") is not None:
            data["registry"] = _registry(data["registry"])
        super().__init__(**data)

    @classmethod
    def of(cls, given: "Mapping[str, Any] | EngineOptions | None") -> Self:
        """The options for `inference_engine_options` as users write them.

        Raises:
            SpecError: the engine is not known, or an argument or option may not be given.
        """
        if given is None:
            return cls()
        if isinstance(given, EngineOptions):
            return cls(
                engine=given.engine,
                engine_args_override=given.engine_args_override,
                registry=given.registry,
                options=given.options,
            )
        if not isinstance(given, Mapping):
            raise SpecError(
                f"{_FIELD}: must be a dict such as {{'engine': 'python_generic'}} (given: {type(given).__name__})"
            )
        fields = {name: value for name, value in given.items() if name in _FIELDS}
        return cls(**fields, options={str(name): value for name, value in given.items() if name not in fields})

    def for_engine(self) -> dict[str, Any]:
        """What the engine is told: its options, and the arguments where there are any."""
        args = {"engine_args_override": list(self.engine_args_override)} if self.engine_args_override else {}
        return {**self.options, **args}


def _registry(given: Any) -> str:
    if not isinstance(given, str):
        raise SpecError(f"{_FIELD}.registry: must be an address as text (given: {type(given).__name__})")
    try:
        return checked_registry(given)
    except ValueError as error:
        raise SpecError(f"{_FIELD}.registry: {error}") from None


def _engine_name(given: Any) -> str:
    text = given.value if isinstance(given, Enum) else given
    if not isinstance(text, str):
        raise SpecError(f"{_FIELD}.engine: must be a name (given: {given!r})")
    folded = text.strip().lower()
    installed = {entry.name.lower() for entry in entry_points(group=ENGINE_GROUP)}
    if folded in installed or folded in {member.value for member in InferenceEngine}:
        return folded
    raise SpecError(f"{_FIELD}.engine: {text!r} is not known; installed are: {', '.join(sorted(installed)) or 'none'}")


def refuse_secrets(options: Mapping[str, Any], field: str) -> None:
    """Refuse names that say secret, at every depth; a request is kept where others may read it.

    Raises:
        SpecError: there is one; it repeats no values.
    """
    for name, value in options.items():
        if _is_secret(str(name)):
            raise SpecError(
                f"{field}.{name}: a secret must not stand in a request, which is kept in the job's record; "
                "put it in the settings or in the environment of the pool"
            )
        if isinstance(value, Mapping) and name not in _SHAPES:
            refuse_secrets(value, f"{field}.{name}")


def _is_secret(name: str) -> bool:
    return bool(_SECRET.search(name)) and not _COUNTS_TOKENS.search(name)


def check_engine_args(given: Iterable[Any]) -> tuple[str, ...]:
    """The arguments of `engine_args_override`, stripped.

    Raises:
        SpecError: one does not begin with `--`, belongs to the service, or holds a secret. It repeats no values.

    Example:
        >>> check_engine_args(["--max-model-len=7048"])
        ('--max-model-len=7048',)
    """
    field = f"{_FIELD}.engine_args_override"
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise SpecError(f"{field}: must be a list such as ['--max-model-len=7048'] (given: {type(given).__name__})")
    checked: list[str] = []
    for place, item in enumerate(given):
        if not isinstance(item, str):
            raise SpecError(
                f"{field}[{place}]: must be text such as '--max-model-len=7048' (given: {type(item).__name__})"
            )
        text = item.strip()
        name = re.split(r"[=\s]", text, maxsplit=1)[0]
        if not re.fullmatch(r"--[A-Za-z0-9].*", name):
            before = (
                f"; if it is the value of {checked[-1]}, write the two as one text"
                if checked and "=" not in checked[-1]
                else ""
            )
            raise SpecError(
                f"{field}[{place}]: an argument begins with '--', such as '--max-model-len=7048'{before} "
                f"(given: {name!r})"
            )
        spelled = name.lstrip("-").replace("_", "-").lower()
        owner = _owned(spelled)
        if owner is not None:
            raise SpecError(
                f"{field}[{place}]: {name} belongs to the service ({owner}) and cannot be set; leave it out"
            )
        if _is_secret(spelled):
            raise SpecError(
                f"{field}[{place}]: {name} holds a secret, which must not stand in a request; "
                "put it in the settings or in the environment of the pool"
            )
        checked.append(text)
    return tuple(checked)


def _owned(spelled: str) -> str | None:
    plain = spelled.removeprefix("no-")
    if plain == "ssl" or plain.startswith("ssl-"):
        return "--ssl-*"
    # argparse takes the beginning of a name for the name.
    return next(
        (f"--{owned}" for owned in sorted(_OWNED) if plain == owned or (len(plain) > 1 and owned.startswith(plain))),
        None,
    )
