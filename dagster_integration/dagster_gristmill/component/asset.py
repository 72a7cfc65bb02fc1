"""One asset of a `defs.yaml`: the arguments of `batch_inference_asset` as fields."""

from typing import Annotated, Any, TypeAlias

import dagster as dg

from dagster_gristmill.component.checked import Checked
from dagster_gristmill.component.partitions import Partitions
from dagster_gristmill.component.policies import BackfillPolicy, RetryFields
from dagster_gristmill.component.specs import ChecksFields, InputFields, JobFields, ListingFields, OutputFields
from dagster_gristmill.component.text import labels, rendered, text, values
from gristmill.errors import SpecError

__all__ = ["AssetFields"]

_tell = dg.Resolver.default


def _key(context: dg.ResolutionContext, given: Any) -> dg.AssetKey:
    found = rendered(context, given)
    if isinstance(found, dg.AssetKey):
        return found
    if found is None or not all(str(found).split("/")):
        name = [part for part in context.path if isinstance(part, str)][-1]
        raise SpecError(f"{name}: is no asset's key; write it as in 'sales/scores' (given: {found!r})")
    return dg.AssetKey.from_user_string(str(found))


def _keys(context: dg.ResolutionContext, given: Any) -> list[dg.AssetKey]:
    """A list of keys; a text would be one key for each of its letters."""
    found = rendered(context, given)
    if not isinstance(found, list | tuple):
        example = found if isinstance(found, str) and found else "orders"
        raise SpecError(f"deps: give a list of keys, such as [{example}] (given: {found!r})")
    return [_key(context.at_path(place), one) for place, one in enumerate(found)]


def key(description: str, *examples: str) -> dg.Resolver:
    """How an asset's key is read: `sales/scores`."""
    return dg.Resolver(
        _key,
        model_field_type=str,
        description=description,
        examples=list(examples) or None,
        inject_before_resolve=False,
    )


Key: TypeAlias = Annotated[dg.AssetKey, key("An asset's key.")]


def _query(context: dg.ResolutionContext, given: Any) -> Any:
    """SQL, or what a `.sql` file beside the `defs.yaml` holds."""
    found = rendered(context, given)
    if isinstance(found, str) and found.endswith(".sql") and len(found.splitlines()) == 1:
        file = context.resolve_source_relative_path(found)
        if not file.is_file():
            raise SpecError(f"query: there is no file {str(file)!r}; give SQL, or a .sql file beside this one")
        return file.read_text(encoding="utf-8")
    return found


class AssetFields(Checked):
    """An asset whose materialization is a job, and whose partitions are a job each."""

    key: Annotated[dg.AssetKey, key("The asset's key.", "sales/scores")]
    reference: Annotated[
        str,
        text("The model's reference.", "python:shop:Prices", "hf:org/name", "echo:", name="model"),
    ]  # `model` is a method of `dg.Resolvable`
    output_spec: Annotated[OutputFields, _tell(description="Where results go.")]
    input_location: Annotated[
        str | None, text("Files, a folder or a glob of Parquet, CSV, JSONL or Arrow.", "s3://lake/orders/{partition}")
    ] = None
    query: Annotated[
        str | None,
        dg.Resolver(
            _query,
            description="SQL over files, or the name of a .sql file beside this one.",
            examples=["SELECT * FROM '@lake/orders/{partition}/*.parquet' WHERE price > 10"],
            inject_before_resolve=False,
        ),
    ] = None
    input_files: Annotated[ListingFields | None, _tell(description="Files as rows, one for each, such as images.")] = (
        None
    )
    input_asset: Annotated[Key | None, _tell(description="An asset of this kind, whose output is the input.")] = None
    input_format: Annotated[str | None, text("The files' format, where their names do not tell.")] = None
    input_spec: Annotated[InputFields | None, _tell(description="Parameters, and columns that name files.")] = None
    job_spec: Annotated[JobFields | None, _tell(description="Replicas, resources, rows that fail.")] = None
    inference_engine_options: Annotated[
        dict[str, Any] | None,
        values("The engine, and what it takes.", {"engine": "vllm", "engine_args_override": ["--max-model-len=2048"]}),
    ] = None
    compute_pool: Annotated[str | None, text("Where the job runs: a pool of the resource.", "local")] = None
    fail_on_errors: Annotated[
        bool | int | float | None,
        _tell(
            description="Fail where any row has failed, more than so many, or more than this share.", examples=[0.05]
        ),
    ] = None
    force_rerun: Annotated[bool, _tell(description="Compute again what is done already, each time.")] = False
    partitions_def: Partitions = None
    backfill_policy: BackfillPolicy = None
    partitions_at_once: Annotated[int, _tell(description="Jobs of one run that run side by side.")] = 1
    checks: Annotated[ChecksFields | None, _tell(description="Asset checks on each output; null for none.")] = (
        ChecksFields()
    )
    deps: Annotated[
        list[dg.AssetKey],
        dg.Resolver(
            _keys,
            model_field_type=list[str],
            description="Assets that this one is made of.",
            examples=[["raw/orders"]],
            inject_before_resolve=False,
        ),
    ] = []
    group_name: Annotated[str | None, text("The group of assets it belongs to.")] = None
    description: Annotated[str | None, text("What the asset is, for its readers.")] = None
    kinds: Annotated[list[str] | None, values("What it is made with, as labels.", ["gristmill", "sklearn"])] = None
    tags: Annotated[dict[str, str] | None, labels("Tags to find it by.", {"tier": "gold"})] = None
    owners: Annotated[list[str] | None, values("E-mail addresses, or teams.", ["team:sales"])] = None
    metadata: Annotated[dict[str, Any] | None, values("Metadata of the definition.")] = None
    code_version: Annotated[str | None, text("The version of what computes it.", "3")] = None
    automation_condition: Annotated[
        dg.AutomationCondition[Any] | None,
        _tell(
            model_field_type=str | None,
            description="When it is materialized by itself.",
            examples=["{{ dg.AutomationCondition.eager() }}"],
        ),
    ] = None
    freshness_policy: Annotated[
        Any,
        _tell(
            model_field_type=str | None,
            description="How old it may get before it counts as stale.",
            examples=["{{ dg.FreshnessPolicy.time_window(fail_window=datetime.timedelta(hours=26)) }}"],
        ),
    ] = None
    pool: Annotated[str | None, text("Dagster's pool: how many such steps run at a time.")] = None
    retry_policy: Annotated[RetryFields | None, _tell(description="Tries after a failed one.")] = None
    op_tags: Annotated[dict[str, Any] | None, values("Tags of the step, such as those of Kubernetes.")] = None
    io_manager_key: Annotated[str | None, text("The I/O manager with which other assets load it.")] = None
    poll_interval: Annotated[float, _tell(description="Seconds between looks at a running job.")] = 5.0
    log_interval: Annotated[float, _tell(description="Seconds between its lines in the log.")] = 30.0

    def check(self) -> None:
        """Refuse what makes no asset."""
        self.definition(resource_key="gristmill")

    def definition(self, *, resource_key: str) -> dg.AssetsDefinition:
        """The asset.

        Raises:
            SpecError: what the fields say cannot be right.
        """
        from dagster_gristmill.asset import batch_inference_asset

        given = {name: value for name, value in self.given().items() if name not in ("key", "reference")}
        for name in ("output_spec", "input_spec", "job_spec", "checks"):
            if given.get(name) is not None:
                given[name] = given[name].spec()
        if self.input_files is not None:
            given["input_files"] = self.input_files.given()
        if self.retry_policy is not None:
            given["retry_policy"] = self.retry_policy.policy()
        return batch_inference_asset(self.key, model=self.reference, **given, resource_key=resource_key)
