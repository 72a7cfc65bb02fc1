"""The values of a job's params, checked against the signature of the function."""

import copy
import math
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from gristmill.errors import SpecError
from gristmill.models.signature import Bounds, Param, Signature
from gristmill.spec.engine import refuse_secrets

__all__ = ["check_params", "check_value"]

_MOST_BITS = 1_024
"""No type holds an integer of more; Python does not even write down those of some thousand digits."""


def check_params(given: Mapping[str, Any] | None, signature: Signature) -> dict[str, Any]:
    """The value of every param of a function: what the user gave, else the default.

    Names match without regard to case, an int becomes a float where one is wanted, and a dict is merged into a default
    that is a dict, at every depth. Nothing that is given is changed.

    Args:
        given: values by name; None for none.
        signature: the function's signature.

    Raises:
        SpecError: the function takes no params, does not know a name, or is given a name twice, a wrong type or shape,
            a secret, or a number that a job's record cannot hold.

    Example:
        >>> signature = Signature(params=(Param("threshold", pa.float64(), 0.5),))
        >>> check_params({"THRESHOLD": 1}, signature)
        {'threshold': 1.0}
    """
    refuse_secrets(given or {}, "input_spec.params")
    if given and not signature.params:
        raise SpecError(
            f"input_spec.params: the function takes no params (given: {', '.join(sorted(map(str, given)))})"
        )
    chosen: dict[str, tuple[str, Any]] = {}
    columns = {feature.name.lower() for feature in signature.inputs or ()}
    for written, value in (given or {}).items():
        if str(written).strip().lower() in columns:
            raise SpecError(
                f"input_spec.params.{written}: is a column of the input for this function; give it for each row, "
                "or leave it out of param_columns"
            )
        param = _find(str(written), signature.params)
        if param.name in chosen:
            raise SpecError(
                f"input_spec.params.{written}: is given twice, as {chosen[param.name][0]!r} and {written!r}"
            )
        chosen[param.name] = (str(written), value)
    values = {}
    for param in signature.params:
        if param.name not in chosen:
            values[param.name] = copy.deepcopy(param.default)
            _check_finite(param.default, what=f"input_spec.params.{param.name} (its default)")
            continue
        written, value = chosen[param.name]
        merged = _merge(param.default, value)
        if merged is None and (param.nullable or param.default is None):
            values[param.name] = None
        else:
            values[param.name] = check_value(merged, param.type, what=f"input_spec.params.{written}")
            if param.choices and values[param.name] not in param.choices:
                known = ", ".join(map(repr, param.choices))
                raise SpecError(f"input_spec.params.{written}: must be one of {known} (given: {value!r})")
            _check_finite(values[param.name], what=f"input_spec.params.{written}")
            _check_bounds(values[param.name], param.bounds, what=f"input_spec.params.{written}")
    return values


def _check_bounds(value: Any, bounds: Bounds | None, *, what: str) -> None:
    if bounds is not None and not bounds.least <= value <= bounds.most:
        source = f", which is {bounds.source}" if bounds.source else ""
        raise SpecError(f"{what}: must be from {bounds.least:g} to {bounds.most:g}{source} (given: {value!r})")


def _check_finite(value: Any, *, what: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise SpecError(f"{what}: must be a finite number, which a job's record can hold (given: {value!r})")
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_finite(item, what=f"{what}.{key}")
    elif isinstance(value, list | tuple):
        for place, item in enumerate(value):
            _check_finite(item, what=f"{what}[{place}]")


def _find(written: str, params: tuple[Param, ...]) -> Param:
    folded = written.strip().lower()
    matches = [param for param in params if param.name.lower() == folded]
    exact = [param for param in matches if param.name == written]
    if exact or len(matches) == 1:
        return (exact or matches)[0]
    known = ", ".join(param.name for param in params)
    problem = "could be several params" if matches else "is not a param of the function"
    raise SpecError(f"input_spec.params.{written}: {problem}; it takes: {known}")


def _merge(default: Any, value: Any) -> Any:
    if not (isinstance(default, Mapping) and isinstance(value, Mapping)):
        return value
    inner = {key: _merge(default.get(key), item) for key, item in value.items()}
    return {**copy.deepcopy(dict(default)), **inner}


def check_value(value: Any, wanted: pa.DataType, *, what: str) -> Any:
    """A value as the Arrow type `wanted` has it in Python; `what` names it in errors.

    Raises:
        SpecError: the value has another type or shape, or is out of range.
    """
    if hasattr(value, "tolist"):  # a numpy scalar or array
        value = value.tolist()
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise _too_large(value, wanted, what=what)
    kinds = pa.types
    if kinds.is_null(wanted):
        return copy.deepcopy(value)
    if kinds.is_list(wanted) or kinds.is_large_list(wanted) or kinds.is_fixed_size_list(wanted):
        return _check_list(value, wanted, what=what)
    if kinds.is_struct(wanted):
        return _check_dict(value, wanted, what=what)
    if kinds.is_floating(wanted) and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            raise _too_large(value, wanted, what=what) from None
    python: type | tuple[type, ...] | None = None
    if kinds.is_boolean(wanted):
        python = bool
    elif kinds.is_integer(wanted):
        python = int
    elif kinds.is_floating(wanted):
        python = float
    elif kinds.is_string(wanted) or kinds.is_large_string(wanted):
        python = str
    elif kinds.is_binary(wanted) or kinds.is_large_binary(wanted):
        python = bytes
    if (python is not None and not isinstance(value, python)) or (python is int and isinstance(value, bool)):
        raise SpecError(f"{what}: must be {wanted}, not {type(value).__name__} (given: {value!r})")
    if _is_sure(value, wanted):
        return value
    try:
        converted = pa.scalar(value, wanted)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise SpecError(f"{what}: must be {wanted} (given: {value!r}): {error}") from error
    return value if python is not None else converted.as_py()


def _is_sure(value: Any, wanted: pa.DataType) -> bool:
    """Whether a value of the right class fits without asking Arrow, whose first scalar imports pandas."""
    kinds = pa.types
    if kinds.is_integer(wanted):
        bits = wanted.bit_width
        low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if kinds.is_signed_integer(wanted) else (0, 1 << bits)
        return bool(low <= value < high)
    return bool(kinds.is_boolean(wanted) or kinds.is_float64(wanted) or (kinds.is_string(wanted) and value.isascii()))


def _too_large(value: int, wanted: pa.DataType, *, what: str) -> SpecError:
    return SpecError(f"{what}: must be {wanted}; an integer of {value.bit_length():,} bits is too large")


def _check_list(value: Any, wanted: pa.DataType, *, what: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        of = "" if pa.types.is_null(wanted.value_type) else f" of {wanted.value_type}"
        raise SpecError(f"{what}: must be a list{of}, not {type(value).__name__} (given: {value!r})")
    if pa.types.is_fixed_size_list(wanted) and len(value) != wanted.list_size:
        raise SpecError(f"{what}: must have {wanted.list_size} items, not {len(value)} (given: {value!r})")
    return [check_value(item, wanted.value_type, what=f"{what}[{place}]") for place, item in enumerate(value)]


def _check_dict(value: Any, wanted: pa.DataType, *, what: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise SpecError(f"{what}: must be a dict, not {type(value).__name__} (given: {value!r})")
    if wanted.num_fields == 0:
        return copy.deepcopy(dict(value))
    fields = {field.name: field for field in wanted}
    unknown = [key for key in value if key not in fields]
    if unknown:
        raise SpecError(f"{what}.{unknown[0]}: is not a field of it; it has: {', '.join(fields)}")
    return {
        key: None
        if item is None and fields[key].nullable
        else check_value(item, fields[key].type, what=f"{what}.{key}")
        for key, item in value.items()
    }
