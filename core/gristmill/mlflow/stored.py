"""What a stored model says of itself, in its `MLmodel` file, before any of it is loaded.

Models logged by Gristmill carry an entry `gristmill` in the file's metadata::

    {"version": 1, "form": ..., "functions": {name: signature}, "order": [name], "default_function": name or None}

Forms, and where they lie in the model's folder:

- `custom`, `function`: pickled, under `model/` (see `gristmill.mlflow.custom`);
- `estimator`: an estimator, by MLflow's flavor `sklearn` or `xgboost`;
- `pipeline`: a transformers pipeline, by MLflow's flavor `transformers`;
- `checkpoint`: the folder `checkpoint/` of a transformers model as it is, or the name of one on the hub; entry `task`;
- `flavor`: whatever else MLflow stores; its flavors say how it is loaded.

A folder of plain MLflow has no such entry: it is of the form `flavor`, and its functions come from MLflow's signature.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from gristmill.errors import MissingExtraError, ModelError
from gristmill.models.signature import Signature
from gristmill.models.signature_text import signature_from_dict, signature_to_dict

__all__ = ["CHECKPOINT", "Form", "StoredModel", "Told"]

Form = Literal["custom", "function", "estimator", "pipeline", "checkpoint", "flavor"]
"""How a model is stored."""

CHECKPOINT = "checkpoint"
"""The folder, within a model's, that holds a transformers model as it is."""

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Told:
    """What Gristmill writes of a model that it stores.

    Attributes:
        form: how it is stored.
        functions: signatures by name.
        default_function: the one that runs when none is named.
        hub: of a checkpoint that is only named: its name on the hub.
        task: of a checkpoint: the transformers task, where it was given.
    """

    form: Form
    functions: Mapping[str, Signature]
    default_function: str | None = None
    hub: str | None = None
    task: str | None = None

    def metadata(self) -> dict[str, Any]:
        """As an entry of an `MLmodel` file's metadata."""
        found = {
            "version": _VERSION,
            "form": self.form,
            "functions": {name: signature_to_dict(signature) for name, signature in self.functions.items()},
            "order": list(self.functions),  # MLflow sorts the entries of a dict
            "default_function": self.default_function,
        }
        more = {"hub": self.hub, "task": self.task}
        return found | {name: value for name, value in more.items() if value is not None}


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model in a folder of this machine.

    Attributes:
        folder: the folder that holds the `MLmodel` file; empty where only the file's text was read.
        form: how the model is stored.
        functions: signatures by name.
        default_function: the one that runs when none is named; None where there are several.
        flavors: MLflow's flavors with their configuration.
        checkpoint: of the form `checkpoint`: what transformers is given, a folder or a name on the hub.
        task: of the form `checkpoint`: the transformers task, where it was given.
        requirements: what the model's author asks of the environment, as pip reads it; empty where unknown.
    """

    folder: str
    form: Form
    functions: Mapping[str, Signature]
    default_function: str | None
    flavors: Mapping[str, Mapping[str, Any]]
    checkpoint: str | None = None
    task: str | None = None
    requirements: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: str | Path) -> "StoredModel":
        """The model in a folder.

        Raises:
            ModelError: there is no MLmodel file, or one that a newer Gristmill wrote, or that is damaged.
        """
        root = Path(folder)
        try:
            text = (root / "MLmodel").read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ModelError(f"model folder {str(root)!r} has no file MLmodel: it is not a model of MLflow") from None
        except OSError as error:
            raise ModelError(f"model folder {str(root)!r}: its MLmodel file cannot be read: {error}") from error
        try:
            asked = (root / "requirements.txt").read_text(encoding="utf-8")
        except OSError:
            asked = ""
        return cls.of_text(text, folder=str(root), requirements=_lines(asked))

    @classmethod
    def of_text(cls, text: str, *, folder: str = "", requirements: tuple[str, ...] = ()) -> "StoredModel":
        """The model whose `MLmodel` file holds this text.

        Raises:
            ModelError: as `read`.
        """
        file = _parsed(text, folder or "the stored model")
        flavors = file.get("flavors") or {}
        told = (file.get("metadata") or {}).get("gristmill")
        if told is None:
            functions = _functions_of(file)
            return cls(folder, "flavor", functions, next(iter(functions), None), flavors, requirements=requirements)
        if not isinstance(told, Mapping) or told.get("version") != _VERSION or told.get("form") not in get_args(Form):
            raise ModelError(
                f"{folder or 'the stored model'} was logged by another version of Gristmill, in a form that this one "
                "does not know; update gristmill"
            )
        written = told.get("functions", {})
        functions = {name: signature_from_dict(written[name]) for name in told.get("order", written)}
        if told["form"] == "flavor" and not any(one.inputs or one.outputs or one.params for one in functions.values()):
            functions = _functions_of(file)  # what MLflow has found out itself, as from type hints
        hub = told.get("hub")
        checkpoint = hub or (str(Path(folder) / CHECKPOINT) if told["form"] == "checkpoint" else None)
        return cls(
            folder, told["form"], functions, told.get("default_function"), flavors, checkpoint, told.get("task"),
            requirements,
        )  # fmt: skip


def _parsed(text: str, what: str) -> dict[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError.of("pyyaml", "mlflow", need="a stored model") from error
    try:
        found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except yaml.YAMLError as error:
        raise ModelError(f"{what}: its MLmodel file is damaged: {error}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{what}: its MLmodel file is damaged: it holds no entries")
    return found


def _functions_of(file: Mapping[str, Any]) -> dict[str, Signature]:
    from gristmill.mlflow.conversion import from_mlflow_dict

    signature = file.get("signature")
    name = ((file.get("flavors") or {}).get("python_function") or {}).get("predict_fn")  # of an estimator
    return {str(name or "predict"): Signature() if not signature else from_mlflow_dict(signature)}


def _lines(text: str) -> tuple[str, ...]:
    lines = (line.partition(" #")[0].strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))
