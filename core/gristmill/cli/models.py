"""`gristmill models`: the registry."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gristmill.cli import console
from gristmill.cli.exits import handled
from gristmill.cli.modules import find_modules_here
from gristmill.wording.text import count, cut, one_line

if TYPE_CHECKING:
    from gristmill.registry.model import RegisteredModel
    from gristmill.registry.registry import Registry
    from gristmill.registry.version import ModelVersion

__all__ = ["models"]

models = typer.Typer(name="models", no_args_is_help=True, help="Log, list, look at and delete registered models.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The model's name.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")]
RegistryOption = Annotated[
    str | None,
    typer.Option("--registry", metavar="URI", help="Another registry than the settings'.", show_default=False),
]


def _registry(uri: str | None) -> "Registry":
    from gristmill import Registry

    return Registry(uri)


@models.command(no_args_is_help=True)
def log(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="python:package.module:Class, a .pkl or .joblib file, hf:<org/name or folder>.",
            show_default=False,
        ),
    ],
    name: Annotated[str, typer.Option("--name", "-n", metavar="NAME", help="The model's name.", show_default=False)],
    version_name: Annotated[
        str | None, typer.Option("--version-name", metavar="V", help="The version's own name, such as v1.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(metavar="TASK", help="What an hf: model does, where its config does not tell.")
    ] = None,
    comment: Annotated[str | None, typer.Option(metavar="TEXT", help="What the version is.")] = None,
    pip: Annotated[
        list[str] | None, typer.Option("--pip", metavar="REQ", help="A package that the model needs; repeatable.")
    ] = None,
    default: Annotated[bool, typer.Option("--default", metavar="", help="Make it the model's default.")] = False,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Store a model, and register it as a new version.

    Its first version becomes the default. Loading a pickled file runs its code.
    """
    find_modules_here()
    with handled(as_json=as_json), console.results_only():
        there = _registry(registry)
        version = there.log_model(
            _given(model, task), model_name=name, version_name=version_name, comment=comment, pip_requirements=pip
        )
        if default:
            there.get_model(name).default = version
    if as_json:
        console.print_json(_version_facts(version))
        return
    console.out().print(f"{version.reference}  {version.version_name}")


def _given(model: str, task: str | None) -> Any:
    if task is None:
        return model
    from gristmill.errors import SpecError
    from gristmill.huggingface import TransformersPipeline

    if not model.startswith("hf:"):
        raise SpecError(f"--task: is for models that are given as hf:<org/name or folder> (given: {model!r})")
    return TransformersPipeline(model=model.removeprefix("hf:"), task=task)


@models.command("list")
def list_(registry: RegistryOption = None, as_json: JsonOption = False) -> None:
    """All models, with their versions."""
    with handled(as_json=as_json):
        found = _registry(registry).show_models().collect()
        if as_json:
            console.print_json(found)
            return
        if not found:
            console.note("There are no models yet. gristmill models log registers one.")
            return
        table = console.rows("model", "default", "versions", "aliases", "comment")
        for row in found:
            aliases = [alias for alias in row["aliases"] if not alias.startswith("default=")]
            versions = cut(", ".join(row["versions"]), 30)
            table.add_row(
                row["name"], row["default_version_name"], versions, ", ".join(aliases), one_line(row["comment"])
            )
        console.out().print(table)


@models.command()
def show(
    name: NameArgument,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="A version's name, number or alias.", show_default=False)
    ] = None,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
) -> None:
    """A model and its versions; with a version: its functions, and what each takes and returns."""
    with handled(as_json=as_json):
        model = _registry(registry).get_model(name)
        if version is None:
            _show_model(model, as_json=as_json)
            return
        found = model.version(version)
        functions = found.show_functions().collect()
        if as_json:
            console.print_json({**_version_facts(found), "functions": functions})
            return
        pairs = [
            ("model", found.reference), ("version", found.version_name), ("aliases", ", ".join(found.aliases)),
            ("comment", one_line(found.comment)), ("digest", found.digest or ""),
            ("metrics", ", ".join(f"{metric}={value:g}" for metric, value in found.metrics.items())),
        ]  # fmt: skip
        console.out().print(console.facts(pairs))
        for function in functions:
            mark = " (default)" if function["is_default"] and len(functions) > 1 else ""
            kind = "" if function["function_type"] == "scalar" else f", {function['function_type']}"
            console.out().print(f"\n{function['name']}{mark}{kind}")
            parts = [(what, function[what] or "") for what in ("inputs", "outputs", "params")]
            console.out().print(console.facts(parts) if any(text for _, text in parts) else "  columns not known")


def _show_model(model: "RegisteredModel", *, as_json: bool) -> None:
    versions = model.show_versions().collect()
    if as_json:
        console.print_json({"name": model.name, "comment": model.comment, "versions": versions})
        return
    table = console.rows("version", "number", "created", "aliases", "comment", right=("number",))
    for row in versions:
        created = "" if row["created_on"] is None else f"{row['created_on']:%Y-%m-%d %H:%M}"
        aliases = ["default"] * (row["is_default_version"] and "default" not in row["aliases"]) + row["aliases"]
        table.add_row(row["name"], str(row["number"]), created, ", ".join(aliases), one_line(row["comment"]))
    console.out().print(table)


def _version_facts(version: "ModelVersion") -> dict[str, Any]:
    return {
        "reference": version.reference,
        "name": version.model_name,
        "version_name": version.version_name,
        "number": version.number,
        "aliases": list(version.aliases),
        "comment": version.comment,
        "metrics": version.metrics,
        "digest": version.digest,
        "created_on": version.created_on,
    }


@models.command()
def delete(
    name: NameArgument,
    version: Annotated[
        list[str] | None,
        typer.Option("--version", metavar="V", help="Only this version; repeatable.", show_default=False),
    ] = None,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a model with all its versions, or some of its versions."""
    with handled(as_json=as_json):
        model = _registry(registry).get_model(name)
        named = model.versions() if not version else [model.version(one) for one in version]
        doomed = list({one.number: one for one in named}.values())  # one may be named twice, as v1 and 1
        if version:
            for one in doomed:
                one.delete()
        else:
            model.delete()
        if as_json:
            console.print_json([one.reference for one in doomed])
            return
        what = count(len(doomed), "version")
        console.out().print(f"{name}: {what} deleted" if version else f"{name} deleted, {what}")
