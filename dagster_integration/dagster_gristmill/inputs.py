"""What an upstream asset has made, as the input of a job."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_gristmill.materialized import Materialized, latest_outputs
from gristmill.errors import EmptyInputError
from gristmill.wording.text import count

if TYPE_CHECKING:
    import pyarrow.dataset as ds

    from gristmill.settings import Settings
    from gristmill.storage.storage import Storage

__all__ = ["asset_input"]


def asset_input(
    context: dg.AssetExecutionContext, key: dg.AssetKey, partition: str | None, *, settings: "Settings"
) -> Mapping[str, Any]:
    """The output of an upstream asset: its files where its materialization says where they stand, else its value.

    Args:
        context: of the step.
        key: of the upstream asset.
        partition: the step's own, which maps to none, one or several of the upstream asset's.
        settings: open its files.

    Returns:
        `input_location` for one place of files, with its data version as `input_version`, so that what was materialized
        anew is another request; else `X` with all rows, in the order of the upstream partitions.

    Raises:
        EmptyInputError: one was never materialized, or none is mapped to.
        OutputError: a job's output is not there any more.
    """
    from gristmill.storage.storage import Storage

    storage = Storage(settings)
    upstream = _upstream(context, key, partition)
    made = _made(context, key, upstream, storage)
    places = [one.location for one in made]
    if len(places) == 1 and places[0] is not None:
        return {"input_location": places[0], "input_version": made[0].version}
    if len(places) == 1:
        return {"X": context.load_asset_value(key, partition_key=upstream[0])}
    import pyarrow.dataset as ds

    parts = [
        _in_memory(context.load_asset_value(key, partition_key=one)) if place is None else _in_files(storage, place)
        for one, place in zip(upstream, places, strict=True)
    ]
    return {"X": ds.dataset(parts)}


def _upstream(context: dg.AssetExecutionContext, key: dg.AssetKey, partition: str | None) -> Sequence[str | None]:
    """The partitions of the upstream asset that the step's own one maps to; `[None]` where it has none."""
    there = context.job_def.asset_layer.get(key).partitions_def
    if there is None:
        return [None]
    here = context.assets_def.partitions_def
    mapping = context.assets_def.infer_partition_mapping(context.asset_key, key, there)
    found = mapping.get_upstream_mapped_partitions_result_for_partitions(
        None if here is None or partition is None else here.subset_with_partition_keys([partition]),
        here,
        there,
        dynamic_partitions_store=context.instance,
    )
    lacking = sorted(found.required_but_nonexistent_subset.get_partition_keys())
    if lacking:
        raise EmptyInputError(
            f"input_asset: {partition!r} is made of {count(len(lacking), 'partition')} that {key.to_user_string()!r} "
            f"does not have, {lacking[0]!r} the first; see allow_nonexistent_upstream_partitions of its mapping"
        )
    keys = [*found.partitions_subset.get_partition_keys()]
    if len(keys) > 1:
        with dg.partition_loading_context(dynamic_partitions_store=context.instance):
            place = {one: number for number, one in enumerate(there.get_partition_keys())}
        keys.sort(key=place.__getitem__)
    if not keys:
        raise EmptyInputError(
            f"input_asset: no partition of {key.to_user_string()!r} maps to {partition!r}; see its partition mapping"
        )
    return keys


def _made(
    context: dg.AssetExecutionContext, key: dg.AssetKey, partitions: Sequence[str | None], storage: "Storage"
) -> list[Materialized]:
    """The latest materializations, whose outputs stand, where jobs have made them."""
    from gristmill.outputs.manifest import read_manifest

    named = [one for one in partitions if one is not None]
    latest = latest_outputs(context.instance, key, named or None)
    for partition in partitions:
        if partition not in latest:
            which = "" if partition is None else f", partition {partition!r},"
            raise EmptyInputError(
                f"input_asset: {key.to_user_string()!r}{which} was never materialized; materialize it first"
            )
        made = latest[partition]
        if made.location is not None and made.job is not None:
            read_manifest(storage, storage.resolve(made.location))  # its output counts only where its sentinel stands
    return [latest[partition] for partition in partitions]


def _in_files(storage: "Storage", place: str) -> "ds.Dataset":
    import pyarrow.dataset as ds

    from gristmill.inputs.files import open_files

    source = open_files(storage, place)
    filesystem, _ = storage.arrow_filesystem(source.location)
    paths = [storage.path(file.location) for file in source.files]
    return ds.dataset(paths, format="json" if source.format == "jsonl" else source.format, filesystem=filesystem)


def _in_memory(value: Any) -> "ds.Dataset":
    import pyarrow as pa
    import pyarrow.dataset as ds

    from gristmill.inputs.frames import open_frame

    frame = open_frame(value)
    return ds.dataset(pa.Table.from_batches(frame.open(), schema=frame.schema))
