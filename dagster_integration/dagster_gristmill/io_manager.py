"""`GristmillIOManager`: finished outputs as inputs of downstream assets."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_gristmill.loading import Selection, Standing, form_of, load
from dagster_gristmill.materialized import Materialized, latest_outputs
from dagster_gristmill.rerun import FORCE_TAG
from dagster_gristmill.resource import GristmillResource
from gristmill.errors import OutputError, SpecError

if TYPE_CHECKING:
    from gristmill.storage.storage import Storage

__all__ = ["GristmillIOManager"]

_MISSING = "allow_missing_partitions"
"""The name that Dagster's own I/O managers have for it."""


class GristmillIOManager(dg.ConfigurableIOManager):
    """Loads the output of a job for the assets that build on it, wherever it stands; it writes nothing.

    An output is found by the latest materialization of its asset, and of each of its partitions. One without a
    `_SUCCESS`, one that another job has replaced, and one with a file missing or damaged are refused.

    The input's annotation says what it is loaded as: `pyarrow.Table` (also where it says nothing), `pandas.DataFrame`,
    `polars.DataFrame`; or, read in pieces, whatever its size, `pyarrow.dataset.Dataset`, `polars.LazyFrame` (of local
    files), `duckdb.DuckDBPyRelation`. Several partitions come as one, in their order, or as `dict[str, ...]` by key.

    What reads a bucket in pieces is best read to its end: Arrow may abort a process that exits while it still reads
    ahead (https://github.com/apache/arrow/issues/45214), though what the step has done is recorded by then.

    The input's metadata may say more: `columns`, a list of them; `text`, True for the texts of a chat's answers (see
    `gristmill.read_output`); `allow_missing_partitions`, True to leave out those that were never materialized.

    Attributes:
        gristmill: reaches the outputs.

    Example:
        >>> import pyarrow as pa
        >>> @dg.asset(ins={"scores": dg.AssetIn(input_manager_key="outputs", metadata={"columns": ["id", "score"]})})
        ... def report(scores: dict[str, pa.Table]) -> None: ...
        >>> gristmill = GristmillResource(home="s3://ops/gristmill")
        >>> definitions = dg.Definitions([report], resources={"outputs": GristmillIOManager(gristmill=gristmill)})
    """

    gristmill: dg.ResourceDependency[GristmillResource]

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Take None, which assets return that report where their output stands.

        Raises:
            SpecError: there is a value to keep.
        """
        if obj is not None:
            whose = context.asset_key.to_user_string() if context.has_asset_key else context.name
            raise SpecError(
                f"{whose!r} returns {type(obj).__name__}, and GristmillIOManager writes nothing: it loads what jobs "
                "have written. Make the asset with batch_inference_asset, return "
                "MaterializeResult(metadata={'location': ...}), or give it another I/O manager"
            )

    def load_input(self, context: dg.InputContext) -> Any:
        """The rows of the upstream asset's output, or of those of several of its partitions.

        Raises:
            OutputError: one was never materialized, is unfinished, replaced or damaged.
            SpecError: the annotation or the metadata asks for what there is not.
        """
        from gristmill.storage.storage import Storage

        form = form_of(context.dagster_type.typing_type)
        metadata = context.definition_metadata
        selection = _selection(metadata)
        outputs = self._outputs(context, allow_missing=_flag(metadata, _MISSING))
        if form.keyed and any(output.partition is None for output in outputs):
            raise SpecError(
                f"asset {_whose(context)!r} has no partitions to load by key; annotate the input without dict[str, ...]"
            )
        storage = Storage(self.gristmill.settings())
        standing = [_standing(storage, _named(context, output.partition), output) for output in outputs]
        return load(storage, standing, form, selection)

    def _outputs(self, context: dg.InputContext, *, allow_missing: bool) -> list[Materialized]:
        """The latest materializations that the input is about, in the order of its partitions."""
        keys = _partitions(context)
        if keys is not None and not keys:
            raise OutputError(f"no partition of asset {_whose(context)!r} maps to this one; see its partition mapping")
        found = latest_outputs(context.instance, context.asset_key, keys)
        missing = [key for key in ([None] if keys is None else keys) if key not in found]
        if missing and not (allow_missing and found):
            more = f" ({len(missing)} of {len(keys)} partitions were not)" if keys and len(keys) > 1 else ""
            raise OutputError(
                f"{_named(context, missing[0])} was never materialized, so there is no output to load{more}; "
                "materialize it first"
            )
        if keys is None and found[None].partition is not None:
            raise SpecError(f"asset {_whose(context)!r} has partitions; say which to load, as by partition_key=")
        return list(found.values())


def _partitions(context: dg.InputContext) -> list[str] | None:
    """The keys that the input is about, in the order of the upstream asset's partitions; None where it has none."""
    if not context.has_asset_partitions:
        return None
    keys = [str(key) for key in context.asset_partition_keys]
    if len(keys) < 2:
        return keys
    # they may come in any order
    order = context.asset_partitions_def.get_partition_keys(dynamic_partitions_store=context.instance)
    wanted = set(keys)
    return [str(key) for key in order if str(key) in wanted]


def _standing(storage: "Storage", named: str, output: Materialized) -> Standing:
    """The output, once it is known to be there, whole, and of the job that was recorded."""
    from gristmill.outputs.manifest import read_manifest
    from gristmill.outputs.whole import flaw_of_files

    if output.location is None:
        raise OutputError(
            f"{named}: its latest materialization does not say where its output stands; materialize it again, or "
            "report one with the metadata 'location'"
        )
    location = storage.resolve(output.location)
    try:
        manifest = read_manifest(storage, location)
    except OutputError as error:
        raise OutputError(f"{named} has no finished output: {error}; materialize it again") from error
    if output.job is not None and manifest.job != output.job:
        raise OutputError(
            f"{named}: {location!r} holds the output of job {manifest.job!r}, which replaced that of job "
            f"{output.job!r}; materialize it again, and give each asset and partition a location of its own"
        )
    flaw = flaw_of_files(storage, location, manifest)
    if flaw is not None:
        raise OutputError(f"{named}: {flaw}; materialize it again, in a run with the tag {FORCE_TAG}: 'true'")
    return Standing(output.partition, location, manifest)


def _selection(metadata: Mapping[str, Any]) -> Selection:
    columns = metadata.get("columns")
    if columns is not None and (
        not isinstance(columns, list | tuple)
        or not columns
        or not all(isinstance(name, str) for name in columns)
        or len(set(columns)) < len(columns)
    ):
        raise SpecError(f"columns: give a list of columns, each once, in the input's metadata (given: {columns!r})")
    return Selection(None if columns is None else tuple(columns), text=_flag(metadata, "text"))


def _flag(metadata: Mapping[str, Any], name: str) -> bool:
    value = metadata.get(name, False)
    if not isinstance(value, bool):
        raise SpecError(f"{name}: give True or False in the metadata of the input (given: {value!r})")
    return value


def _whose(context: dg.InputContext) -> str:
    return context.asset_key.to_user_string()


def _named(context: dg.InputContext, partition: str | None) -> str:
    asset = f"asset {_whose(context)!r}"
    return asset if partition is None else f"{asset}, partition {partition!r},"
