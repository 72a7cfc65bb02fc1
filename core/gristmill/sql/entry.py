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

__all__ = ["Entry", "another_name", "entries_of", "macro", "problem_macro", "sql_name", "unusable", "with_outputs"]

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
        is_offered: whether nobody has asked for it by name, all of a registry being offered: it is let go of likewise.
        problem: why it cannot be called by this name, which is said to whoever does; None where it can.
    """

    name: str
    model: str
    signature: Signature
    find: Callable[[], Target]
    key: str
    is_short: bool = False
    is_offered: bool = False
    problem: str | None = None

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


def another_name(reference: str) -> str:
    """The way out for a model whose own name is of no use in SQL, in Python and on the command line.

    Example:
        >>> another_name("models:/sum")
        "give another name: register_model(con, 'another_name', 'models:/sum'), or --model another_name=models:/sum"
    """
    return f"give another name: register_model(con, 'another_name', {reference!r}), or --model another_name={reference}"


def unusable(name: str, model: str, problem: str) -> Entry:
    """A name that cannot be called, and says why to whoever does; it hurts nobody else."""
    return Entry(name, model, Signature(), _nowhere, model, is_short=True, is_offered=True, problem=problem)


def _nowhere() -> Target:
    raise AssertionError("a name that cannot be called finds nothing")


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


def problem_macro(entry: Entry, mark: str, *, kind: str) -> str:
    """The statement by which a query that calls an unusable name is told why, whatever it calls it with.

    Args:
        entry: has a problem.
        mark: what stands in all macros of ours.
        kind: `TEMP MACRO` or `MACRO`.
    """
    params = [f"{quoted(param.name)} := NULL" for param in entry.signature.params]
    places = [quoted(str(place)) for place in range(_MOST)]  # no param is called so
    said = f"AS error(coalesce({literal(entry.problem)}, {literal(mark)}))"  # the mark tells whose the macro is
    named = len(entry.inputs or ())
    forms = []
    for count in range(_MOST + 1):
        given = params if count == named else []
        if not named < count <= named + len(params):  # else that form takes them, and DuckDB would not choose
            forms.append(f"({', '.join([*places[:count], *given])}) {said}")
    return f"CREATE OR REPLACE {kind} {quoted(entry.name)}{', '.join(forms)}"


def _free(name: str, taken: Sequence[str]) -> str:
    folded = {one.lower() for one in taken}
    while name in folded:
        name += "_"
    return name
