"""What `gristmill doctor` looks at: each check is data, so that people and programs read the same."""

import importlib.metadata
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from gristmill.errors import GristmillError
from gristmill.wording.text import cut, duration, one_line, scrubbed

if TYPE_CHECKING:
    from gristmill.settings import PoolSettings, Settings

__all__ = ["Check", "examine", "redacted", "within"]

State = Literal["ok", "missing", "failed"]
"""`missing` is something optional that is not there; `failed` is something that should work and does not."""

_T = TypeVar("_T")
_PATIENCE = 15.0
"""Seconds for one look at something that may not answer."""

_BASE = ("fsspec", "pyarrow", "pydantic", "pydantic-settings", "rich", "typer")

_EXTRAS = {
    "python": (("cloudpickle", "joblib", "numpy", "pandas"), "models of your own in Python"),
    "sklearn": (("scikit-learn",), "scikit-learn models"),
    "transformers": (("pillow", "torch", "transformers"), "transformers pipelines"),
    "ray": (("ray",), "replicas on Ray, here or on a cluster"),
    "s3": (("s3fs", "obstore"), "s3:// locations"),
    "sql": (("duckdb",), "SQL over files as input"),
    "polars": (("polars",), "Polars frames as input"),
    "demo": (("ray", "scikit-learn", "pillow"), "gristmill demo"),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        group: what it belongs to.
        name: what it is.
        state: how it is.
        detail: what was found.
        advice: what to do about it; empty where nothing needs to be done.
    """

    group: str
    name: str
    state: State
    detail: str
    advice: str = ""


def within(seconds: float, look: Callable[[], _T]) -> _T:
    """What `look` returns or raises, or a `TimeoutError` when it takes longer.

    The thread that is late is left behind: a network call that hangs cannot be stopped from outside.
    """
    result: list[_T] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            result.append(look())
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            raised.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not result:
        raise TimeoutError(f"no answer within {duration(seconds)}")
    return result[0]


def redacted(text: str, settings: "Settings | None") -> str:
    """One line of text without any value of the settings that may be secret."""
    for value in sorted(_secrets(settings), key=len, reverse=True):
        text = text.replace(value, "***")
    return cut(scrubbed(one_line(text)), 400)


def _secrets(settings: "Settings | None") -> set[str]:
    """Every text in the storage options and runtime environments, but addresses and words of a few letters."""
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for item in value.values():
                walk(item)
        elif isinstance(value, list | tuple):
            for item in value:
                walk(item)
        elif isinstance(value, str) and len(value) >= 4 and "://" not in value:
            found.add(value)

    if settings is not None:
        walk(settings.storage_options)
        for pool in settings.pools.values():
            walk(pool.runtime_env)
    return found


def examine() -> Iterator[Check]:
    """All checks, in an order people can read; the slow ones come last."""
    yield _python()
    yield _packages()
    settings, checks = _settings()
    yield from checks
    if settings is not None:
        yield _home(settings)
    yield from _extras()
    yield _gpus()
    if settings is not None:
        yield from (_stage(settings, name) for name in sorted(settings.stages))
        from gristmill.settings import PoolSettings

        yield _ray_here()
        for name, pool in sorted(settings.pools.items()):
            assert isinstance(pool, PoolSettings)
            yield _pool(settings, name, pool)
        yield _default_pool(settings)


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if os.name != "posix":
        return Check("base", "Python", "failed", found, "jobs need a POSIX system; on Windows use WSL")
    return Check("base", "Python", "ok", f"{found}, {os.cpu_count()} CPUs")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _packages() -> Check:
    versions = {package: _version(package) for package in ("gristmill", *_BASE)}
    missing = [package for package, found in versions.items() if found is None]
    if missing:
        return Check("base", "packages", "failed", f"not installed: {', '.join(missing)}", "pip install gristmill")
    return Check("base", "packages", "ok", f"gristmill {versions['gristmill']}, pyarrow {versions['pyarrow']}")


def _settings() -> "tuple[Settings | None, list[Check]]":
    from gristmill.settings import Settings

    named = os.environ.get("GRISTMILL_CONFIG")
    path = Path(named or "gristmill.toml")
    variables = sorted(name for name in os.environ if name.startswith("GRISTMILL_") and name != "GRISTMILL_CONFIG")
    sources = [str(path.resolve())] if path.is_file() else ["no gristmill.toml here, the defaults"]
    if variables:
        sources.append(f"environment: {', '.join(variables)}")
    try:
        settings = Settings.load()
    except (GristmillError, OSError) as error:
        where = "GRISTMILL_CONFIG" if named else f"{path} and the GRISTMILL_ variables"
        detail = scrubbed(_without_values(str(error)))
        return None, [Check("base", "settings", "failed", detail, f"correct it in {where}")]
    return settings, [Check("base", "settings", "ok", "; ".join(sources))]


def _without_values(message: str) -> str:
    """An error of the settings without the values it quotes: one of them may be a secret."""
    import re

    return cut(one_line(re.sub(r" \(given: .*?\)(?=; |$)", "", message, flags=re.DOTALL)), 600)


def _home(settings: "Settings") -> Check:
    from gristmill.storage.location import join
    from gristmill.storage.storage import Storage

    storage = Storage(settings)

    def look() -> str:
        home = storage.resolve(settings.home, what="home")
        probe = join(home, f"doctor-{secrets.token_hex(6)}")
        storage.write_bytes(probe, b"", exclusive=True)
        try:
            storage.write_bytes(probe, b"", exclusive=True)
        except FileExistsError:
            return home
        finally:
            storage.delete(probe)
        raise OSError(f"{home} lets two writers create one file, so two runners could own one job")

    try:
        home = within(_PATIENCE, look)
    except Exception as error:  # noqa: BLE001 - filesystems raise what they like, and all of it is the finding
        detail = redacted(f"{settings.home}: {type(error).__name__}: {error}", settings)
        return Check("base", "home", "failed", detail, "set GRISTMILL_HOME to a location that you can write to")
    return Check("base", "home", "ok", redacted(f"{home} (jobs are kept here)", settings))


def _extras() -> Iterator[Check]:
    for extra, (packages, brings) in _EXTRAS.items():
        versions = {package: _version(package) for package in packages}
        missing = [package for package, found in versions.items() if found is None]
        if missing:
            advice = f"pip install 'gristmill[{extra}]'"
            yield Check("extras", extra, "missing", f"{brings}; not installed: {', '.join(missing)}", advice)
        else:
            found = ", ".join(f"{package} {version}" for package, version in versions.items())
            yield Check("extras", extra, "ok", f"{brings}: {found}")


def _gpus() -> Check:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Check("machine", "GPU", "missing", "none found (no nvidia-smi)", "")
    try:
        asked = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=_PATIENCE, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return Check("machine", "GPU", "failed", cut(one_line(str(error)), 200), "check the driver: nvidia-smi")
    names = [one_line(text) for text in answer.stdout.splitlines() if text.strip()]
    if not names:
        return Check("machine", "GPU", "missing", "nvidia-smi lists none", "")
    torch = _version("torch") or ""
    if torch.endswith("+cpu"):
        advice = "install a build of torch for CUDA to use them from Python models"
        return Check("machine", "GPU", "ok", f"{'; '.join(names)}; torch {torch} cannot use them", advice)
    return Check("machine", "GPU", "ok", "; ".join(names))


def _stage(settings: "Settings", name: str) -> Check:
    from gristmill.storage.storage import Storage

    storage = Storage(settings)
    label, target = f"@{name.lstrip('@')}", settings.stages[name]

    def look() -> int | None:
        location = storage.resolve(target, what=f"stage {label}")
        filesystem = storage.filesystem(location)
        filesystem.invalidate_cache()
        try:
            return len(filesystem.ls(storage.path(location), detail=False))
        except FileNotFoundError:
            return None

    try:
        entries = within(_PATIENCE, look)
    except Exception as error:  # noqa: BLE001 - filesystems raise what they like, and all of it is the finding
        detail = redacted(f"{target}: {type(error).__name__}: {error}", settings)
        return Check("stages", label, "failed", detail, "check its location, and storage_options in the settings")
    if entries is None:
        return Check(
            "stages",
            label,
            "missing",
            redacted(f"{target}: nothing is there yet", settings),
            "a job that writes to it creates it",
        )
    return Check("stages", label, "ok", redacted(target, settings))


def _ray_here() -> Check:
    if _version("ray") is None:
        return Check("pools", "ray", "missing", "Ray is not installed", "pip install 'gristmill[ray]'")
    started = time.monotonic()
    asked = [sys.executable, "-c", "import ray, ray.job_submission; print(ray.__version__)"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return Check("pools", "ray", "failed", cut(one_line(str(error)), 200), "pip install 'gristmill[ray]'")
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or ["it does not import"])[-1]
        return Check("pools", "ray", "failed", cut(one_line(last), 200), "pip install --upgrade 'gristmill[ray]'")
    took = duration(time.monotonic() - started)
    return Check(
        "pools",
        "ray",
        "ok",
        f"Ray {answer.stdout.strip()}, imported in {took}; started on this machine when a job needs it",
    )


def _pool(settings: "Settings", name: str, pool: "PoolSettings") -> Check:
    if pool.kind != "ray":
        return Check("pools", name, "ok", f"{pool.kind}, on this machine")
    if pool.address is None:
        if _version("ray") is None:
            return Check("pools", name, "failed", "needs Ray on this machine", "pip install 'gristmill[ray]'")
        return Check("pools", name, "ok", "Ray on this machine")
    address = pool.address.rstrip("/")
    url = f"{address}/api/version"

    def ask() -> Any:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:  # noqa: S310 - the settings allow http(s) only
            return json.loads(answer.read(65536))

    try:
        found = within(_PATIENCE, ask)
        there = str(found["ray_version"])
    except Exception as error:  # noqa: BLE001 - whatever the address answers is the finding
        detail = redacted(f"{address}: {type(error).__name__}: {error}", settings)
        return Check(
            "pools",
            name,
            "failed",
            detail,
            "start the cluster, or correct the pool's address (the dashboard's, port 8265)",
        )
    here = _version("ray")
    if here is not None and here != there:
        detail = redacted(f"{address}: Ray {there}, and {here} here", settings)
        return Check("pools", name, "ok", detail, f"install ray=={there} here if jobs misbehave")
    return Check("pools", name, "ok", redacted(f"{address}: Ray {there}", settings))


def _default_pool(settings: "Settings") -> Check:
    try:
        settings.pool(None)
    except GristmillError as error:
        return Check(
            "pools", "default", "failed", redacted(str(error), settings), "correct default_pool in the settings"
        )
    return Check("pools", "default", "ok", settings.default_pool)
