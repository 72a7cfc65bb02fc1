"""MLflow's client of a registry, and its errors as ours."""

import errno
import os
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gristmill.errors import AccessError, GristmillError, MissingExtraError, ModelError, RegistryError, SpecError
from gristmill.mlflow.lock import file_lock
from gristmill.mlflow.quiet import quiet

__all__ = ["artifacts_of", "calling", "client_of"]

_CONNECT_SECONDS = 10.0
_NOT_FOUND = frozenset({"NOT_FOUND", "RESOURCE_DOES_NOT_EXIST"})
_EXISTS = frozenset({"ALREADY_EXISTS", "RESOURCE_ALREADY_EXISTS"})
_FORBIDDEN = frozenset({"CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED", "UNAUTHENTICATED"})
_WRONG = frozenset({"BAD_REQUEST", "INVALID_PARAMETER_VALUE", "MALFORMED_REQUEST"})
_OPENING = threading.Lock()
"""MLflow makes one store per address, and two threads that open a new one would both create its tables."""


def client_of(uri: str) -> Any:
    """MLflow's client of the registry at an address; a store of this machine is created when it is first used.

    The address that MLflow itself works with in this process (`mlflow.set_tracking_uri`) stays as it is.

    Args:
        uri: in its usual spelling, as `gristmill.mlflow.address` gives it.

    Raises:
        MissingExtraError: MLflow is not installed.
        AccessError: the store's folder may not be written, or the server refuses who asks.
        RegistryError: the server does not answer.
    """
    try:
        import mlflow  # noqa: F401 - fails here, with the way out
    except ImportError as error:
        raise MissingExtraError.of("mlflow", "mlflow", need="a model registry") from error
    with calling(uri), _OPENING:
        return _opened(uri, os.getpid())


@cache
def _opened(uri: str, process: int) -> Any:  # noqa: ARG001 - a forked process opens its own
    from mlflow import MlflowClient

    if uri.startswith("sqlite"):
        _prepare(uri, Path(uri.partition("///")[2]))
    _reach(uri)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.search_registered_models(max_results=1)  # opens the store, and shows whether it may be read
    return client


def _prepare(uri: str, database: Path) -> None:
    """Create a store of this machine where there is none: it is there whole, or not at all.

    MLflow's own creating is not safe from another process that does the same. What MLflow itself logs in the store is
    to lie beside it, and not in some working folder.
    """
    from mlflow.tracking._tracking_service.utils import _get_store

    if database.exists():
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(database.with_name(f".{database.name}.lock")):
        if database.exists():
            return
        draft = database.with_name(f".{database.name}.new")
        draft.unlink(missing_ok=True)  # of a process that was killed
        store = _get_store(store_uri=f"sqlite:///{draft}", artifact_uri=artifacts_of(uri))
        store.engine.dispose()
        draft.rename(database)


def artifacts_of(uri: str) -> str:
    """Where a SQLite store's files lie: beside the database.

    Example:
        >>> artifacts_of("sqlite:////srv/gristmill/registry/mlflow.db")
        'file:///srv/gristmill/registry/artifacts'
    """
    return (Path(uri.partition("///")[2]).parent / "artifacts").as_uri()


def _reach(uri: str) -> None:
    """Refuse a server that takes no connection at once: MLflow tries for minutes."""
    parts = urlsplit(uri)
    host = parts.hostname
    if parts.scheme not in ("http", "https") or host is None:
        return
    if parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return  # only the proxy can tell
    try:
        socket.create_connection(
            (host, parts.port or {"http": 80, "https": 443}[parts.scheme]), _CONNECT_SECONDS
        ).close()
    except OSError as error:
        raise RegistryError(
            f"the registry {uri} does not answer: {error.strerror or error}; "
            "is the address right, and the server running?"
        ) from error


@contextmanager
def calling(uri: str, what: str = "") -> Iterator[None]:
    """Within this, MLflow is quiet, and what it raises becomes an error of ours.

    Args:
        uri: the registry's address.
        what: what is looked for or done, such as `model 'churn'`, for the error.

    Raises:
        ModelError: there is no such model or version, or there is one already.
        SpecError: MLflow does not take a name or a value.
        AccessError: the registry refuses who asks, or a folder may not be written.
        RegistryError: it fails.
    """
    from mlflow.exceptions import MlflowException

    try:
        with quiet():
            yield
    except GristmillError:
        raise
    except MlflowException as error:
        raise _translated(error, uri, what) from error
    except PermissionError as error:
        raise AccessError(f"the registry {uri}: {error}") from error
    except OSError as error:
        full = "; make room, or choose another place" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise RegistryError(f"the registry {uri}: {error}{full}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "sqlalchemy":
            raise
        raise _failed(_first_line(str(error)), uri, what) from error  # what MLflow lets through of its database


def _translated(error: Any, uri: str, what: str) -> GristmillError:
    code, said = str(error.error_code), _first_line(str(error.message))
    about = f"{what}: " if what else ""
    if code in _NOT_FOUND:
        return ModelError(f"{about}the registry {uri} does not have it ({said})")
    if code in _EXISTS:
        return ModelError(f"{about}the registry {uri} has it already ({said})")
    if code in _FORBIDDEN:
        return AccessError(
            f"{about}the registry {uri} refuses ({said}); set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
            "or MLFLOW_TRACKING_TOKEN"
        )
    if code in _WRONG:
        return SpecError(f"{about}the registry {uri} does not take it: {said}")
    return _failed(said, uri, what)


def _failed(said: str, uri: str, what: str) -> GristmillError:
    about = f"{what}: " if what else ""
    if "readonly" in said or "unable to open database" in said:
        return AccessError(f"{about}the registry {uri} may not be written ({said})")
    return RegistryError(f"{about}the registry {uri} failed: {said}")


def _first_line(text: str) -> str:
    """What the error says, without the statement and the links that database errors bring along."""
    return text.partition("\n[SQL:")[0].partition("(Background on this error")[0].strip().replace("\n", " ")[:500]
