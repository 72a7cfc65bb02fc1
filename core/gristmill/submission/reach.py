"""Whether what the settings name can be reached from this machine: the home, the stages, the registry, the clusters."""

import contextlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gristmill.errors import GristmillError
from gristmill.settings import Settings
from gristmill.spec.secrets import secret_values
from gristmill.wording.text import cut, one_line, scrubbed

__all__ = ["Look", "reach"]

_PATIENCE = 15.0
"""Seconds for all looks together, which go on at once."""


@dataclass(frozen=True, slots=True)
class Look:
    """What came of one look.

    Attributes:
        field: the setting: `home`, `stages.images`, `pools.gpu`, `default_pool`.
        found: what is there.
        problem: what is wrong, and what to do about it; empty when nothing is.
    """

    field: str
    found: str = ""
    problem: str = ""


def reach(settings: Settings) -> list[Look]:
    """Try everything that the settings name: the home is written to, read and left clean, each stage is listed, and
    each cluster's Jobs API is asked. Takes 15 seconds at most; nothing that it returns holds a secret.

    Example:
        >>> [look.field for look in reach(Settings(home="memory://home-to-reach")) if not look.problem]
        ['home', 'default_pool']
    """  # noqa: D205 - what is tried does not fit one line
    looks: dict[str, tuple[Callable[[], str], str]] = {
        "home": (partial(_write, settings), "give a home that can be written to and read, and the keys for it"),
        **{
            f"stages.{name}": (
                partial(_list, settings, location),
                "correct the stage's location, or storage_options for it",
            )
            for name, location in sorted(settings.stages.items())
        },
        **(
            {}
            if settings.registry is None
            else {"registry": (partial(_list_models, settings), "start the server, or correct the address")}
        ),
        **{
            f"pools.{name}": (
                partial(_ask, settings, pool.address),
                "start the cluster, or correct the pool's address (the dashboard's, port 8265)",
            )
            for name, pool in sorted(settings.pools.items())
            if pool.kind == "ray" and pool.address is not None
        },
        "default_pool": (partial(_pool, settings), "name a pool that there is"),
    }
    secret = secret_values(settings.model_dump(mode="json", context={"reveal": True}))
    hidden = {each for each in secret if len(each) > 3}  # a shorter one stands in words too
    results = _at_once({field: look for field, (look, _) in looks.items()}, patience=_PATIENCE)
    return [_said(field, results.get(field), advice, hidden) for field, (_, advice) in looks.items()]


def _at_once(looks: dict[str, Callable[[], str]], *, patience: float) -> dict[str, str | Exception]:
    """What each returned or raised by then. A call that hangs cannot be stopped from outside: it is left behind."""
    results: dict[str, str | Exception] = {}

    def work(field: str, look: Callable[[], str]) -> None:
        try:
            results[field] = look()
        except Exception as error:  # noqa: BLE001 - filesystems raise what they like, and all of it is the finding
            results[field] = error

    threads = [threading.Thread(target=work, args=each, daemon=True) for each in looks.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(results)


def _said(field: str, result: str | Exception | None, advice: str, hidden: set[str]) -> Look:
    def shown(text: str) -> str:
        for value in sorted(hidden, key=len, reverse=True):
            text = text.replace(value, "***")
        return cut(scrubbed(one_line(text)), 400)

    if result is None:
        return Look(field, problem=f"no answer within {_PATIENCE:g} s; {advice}")
    if isinstance(result, GristmillError):
        return Look(field, problem=shown(str(result)))  # it says what to do
    if isinstance(result, Exception):
        return Look(field, problem=f"{shown(f'{type(result).__name__}: {result}')}; {advice}")
    return Look(field, shown(result))


def _write(settings: Settings) -> str:
    from gristmill.storage.location import join
    from gristmill.storage.storage import Storage

    storage = Storage(settings)
    home = storage.resolve(settings.home, what="home")
    probe = join(home, f"reach-{secrets.token_hex(6)}")
    storage.write_bytes(probe, b"reached", exclusive=True)
    try:
        if storage.read_bytes(probe) != b"reached":
            raise OSError(f"{home} gives back something else than was written")
        storage.write_bytes(probe, b"again", exclusive=True)
    except FileExistsError:
        return f"{home} can be written to and read"
    finally:
        storage.delete(probe)
    raise OSError(f"{home} lets two writers create one file, so two runners could own one job")


def _list(settings: Settings, text: str) -> str:
    from gristmill.storage.location import is_local
    from gristmill.storage.storage import Storage

    storage = Storage(settings)
    location = storage.resolve(text, what="its location")
    filesystem, path = storage.filesystem(location), storage.path(location)
    filesystem.invalidate_cache()
    try:
        filesystem.ls(path, detail=False)
    except FileNotFoundError:
        bucket = path.partition("/")[0]
        if bucket and "://" not in path and not is_local(location):  # a job makes folders, and no buckets
            with contextlib.suppress(PermissionError):  # it may be allowed under the stage's prefix alone
                filesystem.ls(bucket, detail=False)
        return f"{location} can be listed, and is not there yet: a job that writes to it creates it"
    return f"{location} can be listed"


def _list_models(settings: Settings) -> str:
    from gristmill.mlflow.address import trusted_address
    from gristmill.mlflow.store import calling, client_of

    address = trusted_address(None, settings)
    client = client_of(address)
    with calling(address):
        there = client.search_registered_models(max_results=1)
    return f"{address} answers{'' if there else ', and has no models yet'}"


def _ask(settings: Settings, address: str) -> str:
    from gristmill.jobs.cluster import cluster_at

    return f"{address} answers, Ray {cluster_at(settings, address).ray_version()}"


def _pool(settings: Settings) -> str:
    return f"{settings.default_pool}, of kind {settings.pool(None).kind}"
