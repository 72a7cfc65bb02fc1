"""`Entry`: a function of a model under a name in SQL, and the macros by which it is called."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from gristmill.errors import ModelError, SpecError
from gristmill.inplace.target import Target
from gristmill.models.signature import Feature, Signature
from gristmill.models.types import arrow_type
from gristmill.sql.types import literal, quoted, sql_value_type

__all__ = ["Entry", "entries_of", "macro", "sql_name", "with_outputs"]

_PROMPT = "prompt"
_MOST = 32
"""Arguments of a function that does not say which it takes; more come as a struct."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A function of a model under a name.

    Attributes:
        name: in SQL.
        model: what it belongs to, for people.
        signature: the function's.
        find: finds the function to be loaded, once it is called.
        key: tells what the name means from what another entry means.
        is_short: whether the name is the model's alone, which is let go of where it means something already.
    """

    name: str
    model: str
    signature: Signature
    find: Callable[[], Target]
    key: str
    is_short: bool = False

    @property
    def inputs(self) -> tuple[Feature, ...] | None:
        """Its arguments; None where the model does not say."""
        if self.signature.is_chat:
            given = [feature for feature in self.signature.inputs or () if feature.name != "messages"]
            return (Feature(_PROMPT, pa.null()), *given)
        return self.signature.inputs

    @property
    def outputs(self) -> pa.Schema | None:
        """What it returns, in types that DuckDB has; None where the model does not say."""
        known = self.signature.output_schema()
        if known is None:
            return None
        return pa.schema([(field.name, sql_value_type(field.type)) for field in known])


def sql_name(text: str) -> str:
    """A name that needs no quotes: letters, digits and underscores, in lower case.

    Raises:
        SpecError: nothing is left of it.

    Example:
        >>> sql_name("Churn Model-2"), sql_name("__call__")
        ('churn_model_2', 'call')
    """
    found = re.sub(r"\W+", "_", text).strip("_").lower()
    if not found:
        raise SpecError(f"{text!r} has no letter or digit, so that it gives no name in SQL; give another name")
    return found if not found[0].isdigit() else f"m_{found}"


def entries_of(
    name: str,
    functions: Mapping[str, Signature],
    default: str | None,
    *,
    model: str,
    find: Callable[[str], Target],
    key: str,
) -> list[Entry]:
    """The names of a model's functions: `<name>_<function>` for each, and `<name>` for the one that runs by default.

    Functions over partitions have none: their rows do not match those of a query.

    Args:
        name: of the model, in SQL.
        functions: signatures by name.
        default: the function that runs when none is named; the only one where None.
        model: what it is, for people.
        find: finds a function to be loaded.
        key: tells the model from others.
    """
    usual = default if default is not None else next(iter(functions)) if len(functions) == 1 else None
    found: list[Entry] = []
    for function, signature in functions.items():
        if signature.kind == "partitioned":
            continue

        def finding(function: str = function) -> Target:
            return find(function)

        entry = Entry(f"{name}_{sql_name(function)}", model, signature, finding, f"{key} {function}")
        found.append(entry)
        if function == usual:
            found.append(replace(entry, name=name, is_short=True))
    return found


def with_outputs(signature: Signature, outputs: Mapping[str, Any] | None, *, model: str) -> Signature:
    """The signature with outputs that the user declares.

    Raises:
        ModelError: a type is none.
    """
    if outputs is None:
        return signature
    declared = tuple(Feature(name, arrow_type(kind, what=f"outputs.{name}")) for name, kind in outputs.items())
    if not declared:
        raise ModelError(f"outputs: {model!r} must return something; name what, or leave outputs out")
    return replace(signature, outputs=declared)


def macro(entry: Entry, udf: str, *, kind: str) -> str:
    """The statement that lets a function be called under its name, with its params by name.

    Args:
        entry: the function.
        udf: the name under which DuckDB knows what it calls.
        kind: `TEMP MACRO` or `MACRO`.
    """
    params = entry.signature.params
    values = ", ".join(f"{quoted(param.name)}: {quoted(param.name)}" for param in params)
    packed = f"to_json({{{values}}})" if params else ""
    defaults = [f"{quoted(param.name)} := {literal(param.default)}" for param in params]

    def form(arguments: Iterable[str], given: Iterable[str]) -> str:
        body = ", ".join([*given, *([packed] if packed else [])])
        return f"({', '.join([*arguments, *defaults])}) AS {quoted(udf)}({body})"

    inputs = entry.inputs
    if inputs is not None:
        names = [quoted(feature.name) for feature in inputs]
        forms = [form(names, names)]
        if not params and len(names) > 1:
            row = _free("row", [feature.name for feature in inputs])
            forms.append(form([quoted(row)], [f"{quoted(row)}.{name}" for name in names]))
    elif params:
        forms = [form([quoted("row")], [quoted("row")])]
    else:
        places = [f"a{place}" for place in range(_MOST)]
        forms = [form(places[:count], places[:count]) for count in range(1, _MOST + 1)]
    return f"CREATE OR REPLACE {kind} {quoted(entry.name)}{', '.join(forms)}"


def _free(name: str, taken: Sequence[str]) -> str:
    folded = {one.lower() for one in taken}
    while name in folded:
        name += "_"
    return name
