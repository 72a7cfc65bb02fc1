"""Gristmill runs a model over a dataset as one asynchronous step of a DAG.

A table or a folder of files in, Parquet and `_SUCCESS` out. Start with `run_batch`; see `gristmill.errors` for what can
go wrong and `gristmill.settings` for what can be set. Names are loaded when they are first used, so that importing the
package is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gristmill.api import (
        delete_job,
        get_job,
        list_files,
        list_jobs,
        list_stage_files,
        open_output,
        query,
        read_manifest,
        read_output,
        run_batch,
    )
    from gristmill.errors import GristmillError
    from gristmill.inplace.cache import release_models
    from gristmill.inplace.run import run
    from gristmill.jobs.handle import Job
    from gristmill.models.binary import binary_views
    from gristmill.models.custom import CustomModel, ModelContext, inference_api, partitioned_api
    from gristmill.outputs.manifest import Manifest
    from gristmill.registry.model import RegisteredModel
    from gristmill.registry.registry import Registry
    from gristmill.registry.version import ModelVersion
    from gristmill.services.functions import (
        create_service,
        describe_service,
        drop_service,
        get_service,
        list_services,
    )
    from gristmill.services.service import Service
    from gristmill.services.status import ServiceStatus
    from gristmill.settings import PoolSettings, Settings
    from gristmill.spec.enums import FileEncoding, InferenceEngine, InputFormat, JobStatus, OnError, SaveMode
    from gristmill.spec.input import ColumnHandling, InputSpec
    from gristmill.spec.job import InferenceSpec, JobSpec, ResourcesSpec
    from gristmill.spec.output import OutputSpec

__version__ = "0.1.0"

__all__ = [
    "ColumnHandling",
    "CustomModel",
    "FileEncoding",
    "GristmillError",
    "InferenceEngine",
    "InferenceSpec",
    "InputFormat",
    "InputSpec",
    "Job",
    "JobSpec",
    "JobStatus",
    "Manifest",
    "ModelContext",
    "ModelVersion",
    "OnError",
    "OutputSpec",
    "PoolSettings",
    "RegisteredModel",
    "Registry",
    "ResourcesSpec",
    "SaveMode",
    "Service",
    "ServiceStatus",
    "Settings",
    "__version__",
    "binary_views",
    "create_service",
    "delete_job",
    "describe_service",
    "drop_service",
    "get_job",
    "get_service",
    "inference_api",
    "list_files",
    "list_jobs",
    "list_services",
    "list_stage_files",
    "open_output",
    "partitioned_api",
    "query",
    "read_manifest",
    "read_output",
    "release_models",
    "run",
    "run_batch",
]

_MODULES = {
    "gristmill.api": (
        "delete_job", "get_job", "list_files", "list_jobs", "list_stage_files", "open_output", "query", "read_manifest",
        "read_output", "run_batch",
    ),
    "gristmill.errors": ("GristmillError",),
    "gristmill.inplace.cache": ("release_models",),
    "gristmill.inplace.run": ("run",),
    "gristmill.jobs.handle": ("Job",),
    "gristmill.models.binary": ("binary_views",),
    "gristmill.models.custom": ("CustomModel", "ModelContext", "inference_api", "partitioned_api"),
    "gristmill.outputs.manifest": ("Manifest",),
    "gristmill.registry.model": ("RegisteredModel",),
    "gristmill.registry.registry": ("Registry",),
    "gristmill.registry.version": ("ModelVersion",),
    "gristmill.services.functions": (
        "create_service", "describe_service", "drop_service", "get_service", "list_services",
    ),
    "gristmill.services.service": ("Service",),
    "gristmill.services.status": ("ServiceStatus",),
    "gristmill.settings": ("PoolSettings", "Settings"),
    "gristmill.spec.enums": ("FileEncoding", "InferenceEngine", "InputFormat", "JobStatus", "OnError", "SaveMode"),
    "gristmill.spec.input": ("ColumnHandling", "InputSpec"),
    "gristmill.spec.job": ("InferenceSpec", "JobSpec", "ResourcesSpec"),
    "gristmill.spec.output": ("OutputSpec",),
}  # fmt: skip
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gristmill' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
