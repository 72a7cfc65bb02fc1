"""A model, given as an object, as a folder that MLflow can load."""

import errno
import importlib
import platform
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from gristmill.errors import GristmillError, MissingExtraError, ModelError, RegistryError, SpecError
from gristmill.mlflow.conversion import to_mlflow
from gristmill.mlflow.custom import save_custom
from gristmill.mlflow.flavor import Flavor
from gristmill.mlflow.quiet import quiet
from gristmill.mlflow.stored import CHECKPOINT, Told
from gristmill.models.objects import modules_by_value
from gristmill.storage.storage import Storage

__all__ = ["LOADER", "check_requirements", "rewrite", "save_model"]

LOADER = "gristmill.registry.pyfunc"
"""The module by which plain MLflow loads the forms that are Gristmill's own."""

_PASSWORD = re.compile(r"://[^/\s@]+@")
_REMARK = re.compile(r"\s+(?:#|-)")
"""What pip takes after a requirement: a comment, or its options."""
_EXTRAS = {"pytorch": "transformers", "sentence_transformers": "transformers", "transformers": "transformers"}


def check_requirements(given: Sequence[str] | None) -> tuple[str, ...]:
    """The packages that a model needs, as pip reads them.

    Raises:
        SpecError: it is no list of requirements, one of them is none, or an address in it holds a password.

    Example:
        >>> check_requirements(["pillow", "torch>=2.4,<3"])
        ('pillow', 'torch>=2.4,<3')
    """
    if given is None:
        return ()
    is_list = isinstance(given, list | tuple)
    if not is_list or not all(isinstance(line, str) and line.strip() for line in given):
        raise SpecError(f"pip_requirements: give a list of requirements such as ['pillow>=11'] (given: {given!r})")
    for line in given:
        if "\n" in line or line.strip().startswith(("-r", "-c")):
            raise SpecError(f"pip_requirements: {line!r} is no single requirement; list the file's lines one by one")
        if _PASSWORD.search(line):
            raise SpecError(
                "pip_requirements: an address holds a user or password, which would be stored with the model; "
                "leave it out and let pip's own configuration hold it"
            )
        if not _is_requirement(line.strip()):
            raise SpecError(f"pip_requirements: {line!r} is nothing that pip reads; write it like 'pillow>=11'")
    return tuple(line.strip() for line in given)


def _is_requirement(line: str) -> bool:
    if line.startswith(("-", "#", ".")) or any(mark in line for mark in "/\\:$"):
        return True  # an option, a remark, or where a package lies: that is between pip and the place
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:  # it comes with MLflow, without which nothing is stored anyway
        return True
    try:
        Requirement(_REMARK.split(line, maxsplit=1)[0])
    except InvalidRequirement:
        return False
    return True


def save_model(
    model: Any,
    flavor: Flavor,
    told: Told,
    folder: Path,
    *,
    storage: Storage,
    requirements: Sequence[str] = (),
) -> None:
    """Write a model's folder: its files, the `MLmodel` file, what it needs.

    Args:
        model: the object, of the flavor that `flavor_of` told.
        flavor: how to store it.
        told: what is known of its functions.
        folder: where; it must not exist.
        storage: where files that the model is built from may lie.
        requirements: what it needs besides what its flavor does.

    Raises:
        ModelError: it cannot be stored; says why.
        MissingExtraError: a library that it takes is not installed.
    """
    try:
        with quiet():
            if flavor in ("custom", "function", "checkpoint"):
                _save_own(model, flavor, told, folder, storage=storage, requirements=requirements)
            else:
                _save_flavor(model, flavor, told, folder, requirements=requirements)
    except GristmillError:
        raise
    except ModuleNotFoundError as error:
        raise MissingExtraError.of(
            str(error.name), _EXTRAS.get(flavor, "mlflow"), need=f"storing a model of {flavor}"
        ) from error
    except OSError as error:
        full = "; make room there, or point TMPDIR elsewhere" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise RegistryError(f"the model cannot be written to {folder.parent}: {error}{full}") from error
    except Exception as error:  # whatever the model's own pickling raises
        raise ModelError(
            f"the model ({type(model).__qualname__}) cannot be stored: {type(error).__name__}: {error}"
        ) from error


def _save_own(
    model: Any, form: str, told: Told, folder: Path, *, storage: Storage, requirements: Sequence[str]
) -> None:
    import mlflow.pyfunc

    folder.mkdir(parents=True)
    if form != "checkpoint":
        save_custom(model, folder, storage)
    elif told.hub is None:
        _copy_checkpoint(Path(model.model), folder / CHECKPOINT)
    extra = "transformers,mlflow" if form == "checkpoint" else "mlflow"
    needs = (f"gristmill[{extra}]=={version('gristmill')}", *requirements)
    staged = folder.with_name(folder.name + ".mlflow")
    mlflow.pyfunc.save_model(str(staged), loader_module=LOADER, **_common(told, needs))
    for path in staged.iterdir():
        path.rename(folder / path.name)
    staged.rmdir()


def _copy_checkpoint(source: Path, target: Path) -> None:
    # what the hub's cache or a training run leave beside the model is not the model
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".git", ".cache", ".*.lock"))


def _save_flavor(model: Any, flavor: str, told: Told, folder: Path, *, requirements: Sequence[str]) -> None:
    library = importlib.import_module(f"mlflow.{flavor}")
    needs: Sequence[str]
    if flavor == "transformers":
        needs = library.get_default_pip_requirements(model.model)
    elif flavor == "sklearn":
        needs = [*library.get_default_pip_requirements(include_cloudpickle=True), *_parts(model)]
    else:
        needs = library.get_default_pip_requirements()
    ours = _runs_as_a_job(flavor, told)
    if ours:
        needs = [*needs, f"gristmill[mlflow]=={version('gristmill')}"]
    how = _how(flavor, told, ours=ours) | _common(told, _merged(needs, requirements))
    with modules_by_value(), _without_bars(flavor):
        if flavor == "pyfunc":
            library.save_model(str(folder), python_model=model, **how)
        else:
            library.save_model(model, str(folder), **how)
    if ours:
        _load_ours(folder)


def _parts(estimator: Any) -> list[str]:
    """The packages that an estimator's steps come from, besides scikit-learn, as they are installed here."""
    steps = [estimator]
    for step in steps:  # grows while it is gone through: the steps of a pipeline stand in its params
        params = step.get_params(deep=False) if hasattr(step, "get_params") and not isinstance(step, type) else {}
        for value in params.values():
            inner = value if isinstance(value, list) else [value]
            flat = [part for one in inner for part in (one if isinstance(one, tuple) else (one,))]
            steps += [part for part in flat if hasattr(part, "get_params") and not any(part is one for one in steps)]
    roots = {type(step).__module__.partition(".")[0] for step in steps} - {"sklearn", "__main__", "gristmill"}
    if not roots:
        return []
    distributions = packages_distributions()
    names = {distributions[root][0] for root in roots if root in distributions}
    return [f"{name}=={version(name)}" for name in sorted(names)]


def _runs_as_a_job(flavor: str, told: Told) -> bool:
    """Whether plain MLflow is to run the default function as a job does.

    Its own way knows some tasks of transformers only, with other outputs, and some functions of estimators.
    """
    known = {"sklearn": ("predict", "predict_log_proba", "predict_proba"), "xgboost": ("predict",)}
    return flavor == "transformers" or told.default_function not in known.get(flavor, (told.default_function,))


@contextmanager
def _without_bars(flavor: str) -> Iterator[None]:
    """Within this, transformers shows no progress."""
    if flavor not in ("sentence_transformers", "transformers"):
        yield
        return
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _how(flavor: str, told: Told, *, ours: bool) -> dict[str, Any]:
    if flavor == "sklearn":
        # skops stores no classes of one's own, and each type that is not scikit-learn's has to be trusted by name where
        # the model is loaded; cloudpickle stores and loads them all
        function = "predict" if ours else told.default_function
        return {"serialization_format": "cloudpickle", "pyfunc_predict_fn": function}
    if flavor == "pytorch":
        return {"serialization_format": "pickle"}  # pt2 would need an example, and stores the graph that it takes
    return {}


def rewrite(folder: Path, told: Told) -> None:
    """Put what has become known of a model's functions into its folder.

    Raises:
        OSError: the file cannot be written.
    """
    from mlflow.models import Model

    path = str(folder / "MLmodel")
    file = Model.load(path)
    common = _common(told, ())
    file.metadata = {**(file.metadata or {}), **common["metadata"]}
    if "signature" in common:
        file.signature = common["signature"]
    file.save(path)


def _common(told: Told, requirements: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"metadata": {"gristmill": told.metadata()}, "pip_requirements": list(requirements)}
    default = told.functions.get(told.default_function or next(iter(told.functions), ""))
    signature = None if default is None else to_mlflow(default)
    return found if signature is None else {**found, "signature": signature}


def _merged(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """The requirements of both; the second list wins where both name a package."""
    named = {_package(line) for line in second}
    return [*(line for line in first if _package(line) not in named), *second]


def _package(line: str) -> str:
    return re.split(r"[\s\[<>=!~;@]", line.strip(), maxsplit=1)[0].lower().replace("_", "-")


def _load_ours(folder: Path) -> None:
    """Have plain MLflow load the model by Gristmill."""
    from mlflow.models import Model

    path = str(folder / "MLmodel")
    file = Model.load(path)
    file.flavors.pop("python_function", None)
    file.add_flavor(
        "python_function",
        loader_module=LOADER,
        env={"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
        python_version=platform.python_version(),
    )
    file.save(path)
