"""What a sensor runs, and which partitions that has."""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from gristmill.errors import SpecError

__all__ = ["partitions_of", "partitions_told", "refuse_unpartitioned"]


def partitions_told(target: Any) -> dg.PartitionsDefinition | None:
    """The partitions of a target, where it tells them itself and all of it has the same."""
    found = [getattr(part, "partitions_def", None) for part in _parts(target)]
    return found[0] if found and all(one == found[0] for one in found) else None


def partitions_of(targets: Mapping[str, Any], repository: dg.RepositoryDefinition) -> dg.PartitionsDefinition:
    """The partitions of what a sensor runs, by the definitions that it stands among.

    Args:
        targets: `job`, or `target` or `asset_selection`, whichever was given.
        repository: the definitions.

    Raises:
        SpecError: it has none, or not all of it has the same.
    """
    ((name, target),) = targets.items()
    found = [*_definitions(name, target, repository)]
    first = found[0] if found else None
    if first is None or any(one != first for one in found):
        what = "it has no" if first is None else "not all of it has the same"
        raise SpecError(
            f"{name}: {what} partitions, and location names some; give it partitions, or"
            " partition_key='' to run all of it for each landing"
        )
    return first


def _definitions(
    name: str, target: Any, repository: dg.RepositoryDefinition
) -> Iterable[dg.PartitionsDefinition | None]:
    graph = repository.asset_graph
    for part in _parts(target):
        if isinstance(part, str) and name != "job":
            part = dg.AssetSelection.from_string(part)  # noqa: PLW2901 - the same thing, typed
        if isinstance(part, dg.AssetSelection):
            yield from (graph.get(key).partitions_def for key in part.resolve(graph))
        elif isinstance(part, dg.AssetsDefinition | dg.AssetSpec):
            yield part.partitions_def
        else:
            yield repository.get_job(part if isinstance(part, str) else part.name).partitions_def


def refuse_unpartitioned(target: Any) -> None:
    """Refuse an asset without partitions, where the location names some.

    Raises:
        SpecError: it is one.
    """
    for part in _parts(target):
        if isinstance(part, dg.AssetsDefinition) and part.partitions_def is None:
            raise SpecError(
                f"target: {part.key.to_user_string()!r} has no partitions, and location names some; give the asset"
                " partitions, or partition_key='' to run all of it for each landing"
            )


def _parts(target: Any) -> list[Any]:
    # Dagster's own selections and jobs are tuples, too
    return list(target) if type(target) in (list, tuple) else [target]
