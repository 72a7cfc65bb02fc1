"""The options of logging a model."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gristmill.errors import SpecError
from gristmill.models.signature import FunctionKind, Signature

__all__ = ["LogOptions", "refuse_keywords"]

_KINDS: Mapping[str, FunctionKind] = {
    "function": "scalar",
    "partitioned": "partitioned",
    "scalar": "scalar",
    "table": "table",
    "table_function": "table",
}
_KNOWN = ("default_function", "function_type", "method_options", "target_methods")
_ELSEWHERE = {
    "conda_dependencies": "list packages in pip_requirements",
    "enable_explainability": "explanations are no function of a model here; log one that returns them",
    "python_version": "a worker runs on the Python of its own environment",
    "resource_constraint": "ask for resources in the job_spec of run_batch",
}
_ANY_POOL = "a model runs on any pool of the settings; choose one with compute_pool in run_batch"
_IGNORED = {
    "cuda_version": "a worker runs on the CUDA of its own environment",
    "target_platforms": _ANY_POOL,
    "targets": _ANY_POOL,
}
"""What changes nothing about a model: it is ignored with a warning, so that calls written for other registries run."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """The options of logging a model, checked.

    Attributes:
        default_function: the function that runs when none is named; None where the model says.
        kind: of all functions that `kinds` does not name; None where each says.
        kinds: by function.
        functions: the functions to log; None for all.
    """

    default_function: str | None = None
    kind: FunctionKind | None = None
    kinds: Mapping[str, FunctionKind] | None = None
    functions: tuple[str, ...] | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> "LogOptions":
        """The options as a user gives them.

        Raises:
            SpecError: one is not known, has no meaning here, or has a wrong value.

        Example:
            >>> LogOptions.of({"function_type": "TABLE_FUNCTION"}).kind
            'table'
        """
        if given is None:
            return cls()
        if not isinstance(given, Mapping):
            raise SpecError(f"options: give a dict (given: {type(given).__name__})")
        for name in given:
            if name in _IGNORED:
                _warn(f"options.{name}", _IGNORED[name])
            elif name not in _KNOWN:
                raise SpecError(f"options.{name}: {_reason(str(name))}; the options here are: {', '.join(_KNOWN)}")
        methods = given.get("method_options")
        return cls(
            default_function=_name(given.get("default_function"), "options.default_function"),
            kind=_kind(given.get("function_type"), "options.function_type"),
            kinds=None if methods is None else _kinds(methods),
            functions=_names(given.get("target_methods")),
        )

    def applied(self, functions: Mapping[str, Signature]) -> dict[str, Signature]:
        """The functions that are to be logged, each of the kind that was asked for.

        Raises:
            SpecError: an option names a function that the model has not.
        """
        known = ", ".join(functions) or "none"
        for what, names in (
            ("target_methods", self.functions or ()),
            ("method_options", self.kinds or ()),
            ("default_function", () if self.default_function is None else (self.default_function,)),
        ):
            for name in names:
                if name not in functions or (self.functions is not None and name not in self.functions):
                    raise SpecError(f"options.{what}: the model has no function {name!r}; it has: {known}")
        chosen = {name: functions[name] for name in self.functions or functions}
        return {name: self._of_kind(name, signature) for name, signature in chosen.items()}

    def _of_kind(self, name: str, signature: Signature) -> Signature:
        asked = (self.kinds or {}).get(name, self.kind)
        if asked is None or asked == signature.kind:
            return signature
        if "partitioned" in (asked, signature.kind):
            raise SpecError(
                f"options: the function {name!r} is {signature.kind}, which its method decides; "
                "mark it with partitioned_api or inference_api"
            )
        return replace(signature, kind=asked)


def refuse_keywords(given: Mapping[str, Any]) -> None:
    """Refuse arguments of `log_model` that have no meaning here, each with the reason; harmless ones are warned of.

    Raises:
        SpecError: there is one.
    """
    for name in given:
        if name not in _IGNORED:
            raise SpecError(f"log_model: {name}: {_reason(name)}")
    for name in given:
        _warn(f"log_model: {name}", _IGNORED[name])


def _warn(what: str, why: str) -> None:
    warnings.warn(f"{what}: is ignored: {why}", UserWarning, stacklevel=4)


def _reason(name: str) -> str:
    way_out = _ELSEWHERE.get(name)
    return "is not known" if way_out is None else f"has no meaning here: {way_out}"


def _kind(value: Any, what: str) -> FunctionKind | None:
    if value is None:
        return None
    text = str(getattr(value, "value", value)).strip().lower()
    if text not in _KINDS:
        raise SpecError(f"{what}: must be FUNCTION or TABLE_FUNCTION (given: {value!r})")
    return _KINDS[text]


def _kinds(methods: Any) -> dict[str, FunctionKind]:
    if not isinstance(methods, Mapping):
        raise SpecError(f"options.method_options: give a dict by function (given: {type(methods).__name__})")
    found: dict[str, FunctionKind] = {}
    for name, how in methods.items():
        if not isinstance(how, Mapping):
            raise SpecError(f"options.method_options.{name}: give a dict of options (given: {how!r})")
        for key in how:
            if key != "function_type":
                raise SpecError(f"options.method_options.{name}.{key}: {_reason(str(key))}; known is: function_type")
        kind = _kind(how.get("function_type"), f"options.method_options.{name}.function_type")
        if kind is not None:
            found[str(name)] = kind
    return found


def _name(value: Any, what: str) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise SpecError(f"{what}: give the name of a function (given: {value!r})")
    return value


def _names(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    is_list = isinstance(value, list | tuple) and bool(value)
    if not is_list or not all(isinstance(name, str) for name in value):
        raise SpecError(f"options.target_methods: give a list of names of functions (given: {value!r})")
    return tuple(value)
