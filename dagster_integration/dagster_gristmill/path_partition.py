"""`PathPartition`: the partition that a path names, of a template such as `s3://lake/scores/{region}/{date}`."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import dagster as dg

from gristmill.errors import SpecError
from gristmill.spec.template import Template

__all__ = ["PathPartition"]

_DIVIDER = "|"
"""Stands between the dimensions of a key, so it cannot stand in one."""


class PathPartition:
    """How fields of a path make a partition's key.

    A single field is the key; so is `{partition}`, which for a multi-partition is the whole key (`2026-01-01|eu`).
    Several fields are the dimensions of a multi-partition. Anything else is said with `partition_key`.

    Args:
        fields: the fields of the path.
        partitions_def: what the key must be of; None checks nothing.
        partition_key: a template over the fields, or for a multi-partition one for each dimension; empty for no
            partition, whatever the fields.
        what: the location, for errors.

    Raises:
        SpecError: the fields make no key.
    """

    def __init__(
        self,
        fields: tuple[str, ...],
        *,
        partitions_def: dg.PartitionsDefinition | None,
        partition_key: str | Mapping[str, str] | None,
        what: str,
    ) -> None:
        self._definition = partitions_def
        self._dimensions = _dimensions(partitions_def)
        given = _key_of_fields(fields, partitions_def, what) if partition_key is None else partition_key
        if isinstance(given, Mapping) and partitions_def is not None and set(given) != set(self._dimensions):
            dimensions = ", ".join(self._dimensions) or "none"
            raise SpecError(
                f"partition_key: give a template for each dimension of partitions_def, which are: {dimensions}"
                f" (given: {', '.join(given)})"
            )
        if not given and partitions_def is not None:
            raise SpecError("partition_key is empty, but there are partitions; say which one a path names")
        parts = given if isinstance(given, Mapping) else {"": given}
        own: dict[str, str | Template] = {f"{{{name}}}": name for name in fields}
        for text in parts.values():
            Template(text, what="partition_key").fill(dict.fromkeys(fields, ""))
        # a field alone needs no filling in
        self._parts_of_key = {name: own.get(text, Template(text, what="partition_key")) for name, text in parts.items()}
        self._is_multi = isinstance(given, Mapping)
        self._is_none = not given

    @property
    def is_none(self) -> bool:
        """Whether there are no partitions."""
        return self._is_none

    @property
    def is_checked(self) -> bool:
        """Whether keys are checked against a definition."""
        return self._definition is not None

    def key(self, fields: Mapping[str, str]) -> str | None:
        """The key; a `MultiPartitionKey` where there are dimensions; None where there are no partitions."""
        if self._is_none:
            return None
        parts = {
            name: fields[part] if isinstance(part, str) else part.fill(fields)
            for name, part in self._parts_of_key.items()
        }
        if self._is_multi:
            return dg.MultiPartitionKey(parts)
        key = parts[""]
        if self._dimensions and key.count(_DIVIDER) == len(self._dimensions) - 1:
            return dg.MultiPartitionKey(dict(zip(self._dimensions, key.split(_DIVIDER), strict=True)))
        return key

    def known(self, keys: Iterable[str | None], instance: dg.DagsterInstance) -> frozenset[str | None]:
        """Those of the keys that are of the definition now. A dynamic one takes any: see `additions`."""
        given = [key for key in dict.fromkeys(keys) if key is None or self._is_well_formed(key)]
        with dg.partition_loading_context(datetime.now(UTC), instance):
            # each part once: a hundred thousand keys may be of ten thousand days and ten regions
            known = {
                name: {
                    part for part in {_part(key, name) for key in given if key is not None} if _has(definition, part)
                }
                for name, definition in self._parts()
            }
        return frozenset(
            key for key in given if key is None or all(_part(key, name) in parts for name, parts in known.items())
        )

    def _is_well_formed(self, key: str) -> bool:
        if self._is_multi and key.count(_DIVIDER) != len(self._parts_of_key) - 1:
            return False
        return not self._dimensions or isinstance(key, dg.MultiPartitionKey)

    def additions(
        self, keys: Iterable[str | None], instance: dg.DagsterInstance
    ) -> list[dg.AddDynamicPartitionsRequest]:
        """What makes the keys partitions where the definition, or a dimension of it, is dynamic and lacks them."""
        wanted: dict[str, set[str]] = {}
        for key in keys:
            for name, definition in self._parts():
                if key is None or not _is_dynamic(definition):
                    continue
                wanted.setdefault(str(getattr(definition, "name", "")), set()).add(_part(key, name))
        lacking = {
            name: [part for part in sorted(parts) if not instance.has_dynamic_partition(name, part)]
            for name, parts in sorted(wanted.items())
        }
        return [dg.AddDynamicPartitionsRequest(name, parts) for name, parts in lacking.items() if parts]

    def _parts(self) -> Iterable[tuple[str, dg.PartitionsDefinition]]:
        """The dimensions, or the definition as the only one."""
        if self._dimensions or self._definition is None:
            return self._dimensions.items()
        return [("", self._definition)]


def _dimensions(definition: dg.PartitionsDefinition | None) -> dict[str, dg.PartitionsDefinition]:
    if not isinstance(definition, dg.MultiPartitionsDefinition):
        return {}
    return {one.name: one.partitions_def for one in definition.partitions_defs}


def _part(key: str, dimension: str) -> str:
    return key.keys_by_dimension[dimension] if dimension and isinstance(key, dg.MultiPartitionKey) else str(key)


def _has(definition: dg.PartitionsDefinition, part: str) -> bool:
    return _is_dynamic(definition) or definition.has_partition_key(part)


def _is_dynamic(definition: dg.PartitionsDefinition) -> bool:
    """Whether partitions can be added to it; those that a function gives cannot."""
    return isinstance(definition, dg.DynamicPartitionsDefinition) and definition.name is not None


def _key_of_fields(
    fields: tuple[str, ...], definition: dg.PartitionsDefinition | None, what: str
) -> str | dict[str, str]:
    own = {name: f"{{{name}}}" for name in fields}
    if fields == ("partition",):
        return own["partition"]
    if isinstance(definition, dg.MultiPartitionsDefinition) or (definition is None and len(fields) > 1):
        return _by_dimension(own, set(_dimensions(definition)), what)
    if not fields and definition is not None:
        raise SpecError(f"{what} names no partition, and there is a partitions_def; put {{partition}} into it")
    if len(fields) > 1:
        raise SpecError(
            f"{what} has the fields {', '.join(own.values())}, and partitions_def has no dimensions; say with"
            f" partition_key what the key is, such as partition_key={''.join(own.values())!r}"
        )
    return "".join(own.values())


def _by_dimension(own: dict[str, str], dimensions: set[str], what: str) -> dict[str, str]:
    named = ", ".join(own.values()) or "none"
    if dimensions and set(own) != dimensions:
        raise SpecError(
            f"{what} has the fields {named}, but the dimensions of partitions_def are {', '.join(sorted(dimensions))};"
            " name the fields like them, or give a template for each dimension as partition_key"
        )
    if not dimensions and (len(own) != 2 or "partition" in own):
        raise SpecError(
            f"{what} has the fields {named}, and Dagster's partitions have one or two dimensions; say with"
            f" partition_key what the key is, such as partition_key={''.join(own.values())!r}"
        )
    return own
