"""OpenLineage: what a task read and wrote, with schemas and counts. Imported only where Airflow sends lineage."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    external_query_run,
    output_statistics_output_dataset,
    schema_dataset,
    sql_job,
)

from gristmill.declared import locations_in
from gristmill.errors import GristmillError

if TYPE_CHECKING:
    from gristmill.jobs.handle import Job
    from gristmill.outputs.manifest import Manifest
    from gristmill.storage.storage import Storage

__all__ = ["dataset_name", "lineage_of_job", "lineage_of_request"]

_MAGIC = re.compile(r"[*?\[]")
_FIELDS = 2_000
"""At most this many columns are told."""


def lineage_of_request(
    *, input_location: str | None, query: str | None, input_files: Any, output_location: str | None
) -> OperatorLineage:
    """What a task is about to read and write, as far as its arguments tell.

    Stages are left out: what they stand for is in the settings, and Airflow asks for this in a process that must not
    ask for a connection. The lineage of the job has them.

    Args:
        input_location: as the operator has it.
        query: likewise; its quoted paths are the inputs.
        input_files: likewise.
        output_location: where the results will stand, where that is known.
    """
    listed = input_files.get("location") if isinstance(input_files, Mapping) else input_files
    read = [location for location in (input_location, listed) if location]
    written = [output_location] if output_location else []
    return OperatorLineage(
        inputs=[InputDataset(*dataset_name(place)) for place in [*read, *locations_in(query)] if _is_plain(place)],
        outputs=[OutputDataset(*dataset_name(place)) for place in written if _is_plain(place)],
        job_facets=_sql(query),
    )


def lineage_of_job(job: "Job", manifest: "Manifest | None") -> OperatorLineage:
    """What a job has read and written.

    Args:
        job: the job.
        manifest: of its output; None where there is none.
    """
    from gristmill.spec.schema_text import schema_from_text

    request, storage = job.request, job.record.storage
    source = request.source
    query = source.text if source.kind == "query" else None
    read = [source.text] if source.kind == "location" else locations_in(query)
    schema = schema_from_text(request.input_schema)
    columns = [(field.name, str(field.type)) for field in schema] if source.kind == "location" else []
    return OperatorLineage(
        inputs=[_input(storage, location, columns) for location in read if _resolves(storage, location)],
        outputs=[_output(job.location, manifest)],
        run_facets={"externalQuery": external_query_run.ExternalQueryRunFacet(job.id, "gristmill")},
        job_facets=_sql(query),
    )


def dataset_name(location: str) -> tuple[str, str]:
    """Namespace and name of a location, by OpenLineage's rules; a glob counts as the folder that holds its files.

    Example:
        >>> dataset_name("s3://lake/orders/2026-*/*.parquet"), dataset_name("/data/orders")
        (('s3://lake', 'orders'), ('file', '/data/orders'))
    """
    found = _MAGIC.search(location)
    folder = location if found is None else location[: found.start()].rpartition("/")[0]
    if folder.startswith("/") or "://" not in folder:
        return "file", folder.rstrip("/") or "/"
    parts = urlsplit(folder)
    return f"{parts.scheme}://{parts.netloc}", parts.path.strip("/") or "/"


def _input(storage: "Storage", location: str, columns: Iterable[tuple[str, str]] = ()) -> InputDataset:
    return InputDataset(*dataset_name(storage.resolve(location)), facets=_schema(columns))


def _output(location: str, manifest: "Manifest | None") -> OutputDataset:
    if manifest is None:
        return OutputDataset(*dataset_name(location))
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=manifest.rows, size=sum(file.bytes for file in manifest.files), fileCount=len(manifest.files)
    )
    return OutputDataset(
        *dataset_name(location),
        facets=_schema((column.name, column.type) for column in manifest.columns),
        outputFacets={"outputStatistics": statistics},
    )


def _schema(columns: Iterable[tuple[str, str]]) -> dict[str, Any]:
    fields = [schema_dataset.SchemaDatasetFacetFields(name=name, type=kind) for name, kind in columns][:_FIELDS]
    return {"schema": schema_dataset.SchemaDatasetFacet(fields=fields)} if fields else {}


def _sql(query: str | None) -> dict[str, Any]:
    return {"sql": sql_job.SQLJobFacet(query=query)} if query else {}


def _is_plain(location: str) -> bool:
    return location.startswith("/") or "://" in location


def _resolves(storage: "Storage", location: str) -> bool:
    try:
        storage.resolve(location)
    except GristmillError:
        return False
    return True
