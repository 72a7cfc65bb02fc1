"""All services of a home, as a table."""

import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from gristmill.errors import GristmillError
from gristmill.services.record import ServiceRecord, service_names
from gristmill.services.service import Service
from gristmill.storage.storage import Storage

__all__ = ["SERVICE_COLUMNS", "details_table", "services_table"]

_TIME = pa.timestamp("us", tz="UTC")

SERVICE_COLUMNS = pa.schema(
    {
        "name": pa.string(),
        "status": pa.string(),
        "message": pa.string(),
        "model": pa.string(),
        "served_model": pa.string(),
        "compute_pool": pa.string(),
        "base_url": pa.string(),
        "owner": pa.string(),
        "machine": pa.string(),
        "created_time": _TIME,
    }
)
"""The columns of `list_services()`."""

_DETAILS = pa.schema(
    [
        *SERVICE_COLUMNS,
        pa.field("ready_time", _TIME),
        pa.field("ended_time", _TIME),
        pa.field("engine", pa.string()),
        pa.field("engine_args_override", pa.list_(pa.string())),
        pa.field("gpu_requests", pa.float64()),
        pa.field("cpu_requests", pa.float64()),
        pa.field("host", pa.string()),
        pa.field("port", pa.int64()),
        pa.field("digest", pa.string()),
        pa.field("processes", pa.list_(pa.int64())),
    ]
)


def services_table(storage: Storage, home: str) -> pa.Table:
    """All services, in the order of their names; one that is being dropped, or cannot be read, is left out."""
    found = []
    for name in service_names(storage, home):
        with contextlib.suppress(GristmillError):
            found.append(Service(ServiceRecord(storage, home, name)).facts())
    return _table(found, SERVICE_COLUMNS)


def details_table(service: Service) -> pa.Table:
    """One row with all that is known of a service, without its key."""
    return _table([service.facts()], _DETAILS)


def _table(rows: Iterable[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: _cell(name, row[name]) for name in schema.names} for row in rows], schema)


def _cell(name: str, value: Any) -> Any:
    return datetime.fromtimestamp(value, UTC) if name.endswith("_time") and value is not None else value
