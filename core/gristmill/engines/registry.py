"""Finding the engine for a model, among those that are installed."""

import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from gristmill.engines.protocol import Engine
from gristmill.errors import GristmillError, ModelError, SpecError
from gristmill.spec.engine import ENGINE_GROUP, EngineOptions
from gristmill.spec.enums import InferenceEngine

__all__ = ["engine_for", "installed_engines", "load_engine"]

_PROTOCOL = ("name", "option_names", "handles", "describe", "load")


def installed_engines() -> dict[str, EntryPoint]:
    """The entry points of the group `gristmill.engines` by name, Gristmill's own before those of others."""
    return dict(_installed(tuple((path, _changed(path)) for path in sys.path)))


def _changed(path: str) -> float:
    """When something was last installed into a folder, or removed from it."""
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0


@lru_cache(maxsize=8)
def _installed(places: tuple[tuple[str, float], ...]) -> dict[str, EntryPoint]:  # noqa: ARG001 - where it was looked
    """What is found in these places: looking into all that is installed takes as long as a small model."""

    def ours_first(entry: EntryPoint) -> tuple[bool, str]:
        return (entry.dist is None or entry.dist.name != "gristmill", entry.name)

    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=ENGINE_GROUP), key=ours_first):
        found.setdefault(entry.name.lower(), entry)
    return found


def load_engine(name: str) -> Engine:
    """The engine of a name.

    Raises:
        ModelError: it is not installed, or cannot be loaded; names it.
    """
    installed = installed_engines()
    entry = installed.get(name.strip().lower())
    if entry is None:
        raise ModelError(
            f"inference_engine_options.engine: {name!r} is not installed here; install what brings it "
            f"(an entry point of the group {ENGINE_GROUP!r}), or choose one of: {', '.join(installed) or 'none'}"
        )
    return _load(entry)


def _load(entry: EntryPoint) -> Engine:
    where = f"the engine {entry.name!r} ({entry.value}{f' of {entry.dist.name}' if entry.dist else ''})"
    try:
        engine: Any = entry.load()()
    except GristmillError:
        raise
    except Exception as error:  # whatever someone else's module raises
        raise ModelError(
            f"{where} cannot be loaded: {type(error).__name__}: {error}; repair or uninstall it"
        ) from error
    missing = [name for name in _PROTOCOL if not hasattr(engine, name)]
    if missing:
        raise ModelError(f"{where} is no engine: it has no {', '.join(missing)}; see gristmill.engines.protocol.Engine")
    return engine  # type: ignore[no-any-return]


def engine_for(model: str, options: EngineOptions) -> Engine:
    """The engine that runs a model: the one that the options name, else the first that handles it and knows them.

    Args:
        model: a model reference.
        options: the job's engine options.

    Raises:
        ModelError: no engine handles the model, or the one named is not installed or broken.
        SpecError: the options hold one that the engine does not know.

    Example:
        >>> engine_for("echo:", EngineOptions()).name
        'echo'
    """
    engine = load_engine(options.engine) if options.engine is not None else _handling(model, options)
    for name in options.for_engine():
        if name not in engine.option_names:
            known = ", ".join(sorted(engine.option_names)) or "none"
            raise SpecError(
                f"inference_engine_options.{name}: the engine {engine.name} does not know it; it knows: {known}"
            )
    return engine


def _handling(model: str, options: EngineOptions) -> Engine:
    """The first engine that handles a model and knows the options, the generic one last."""
    installed = installed_engines()
    entries = sorted(installed.values(), key=lambda entry: entry.name.lower() == InferenceEngine.PYTHON_GENERIC.value)
    handling: list[Engine] = []
    broken: list[ModelError] = []
    for entry in entries:
        try:
            engine = _load(entry)
        except ModelError as error:  # it harms only those whom no other engine serves
            broken.append(error)
        else:
            handling += [engine] if engine.handles(model) else []
    if not handling and broken:
        raise broken[0]
    if not handling:
        raise ModelError(
            f"model {model!r} is not one that an installed engine runs ({', '.join(installed) or 'none'} are installed)"
        )
    given = frozenset(options.for_engine())
    return next((engine for engine in handling if given <= engine.option_names), handling[0])
