"""The request of a job as it is recorded: everything that decides its result, and nothing secret."""

import hashlib
import json
from typing import Any, Literal

from pydantic import field_serializer, field_validator

from gristmill.spec.base import Spec
from gristmill.spec.enums import SaveMode
from gristmill.spec.input import ColumnHandling
from gristmill.spec.job import JobSpec
from gristmill.spec.param_text import param_from_plain, param_to_plain

__all__ = ["InputSource", "JobRequest", "RunRequest"]


class InputSource(Spec):
    """Which rows a job runs over.

    Attributes:
        kind: what the user gave.
        text: the location, the SQL, or a word for the frame's type; for people to read.
        format: the format of the files, or of the snapshot.
        content: what identifies the rows besides `text`: the digest of a frame's content, or the version that the
            caller gave.
    """

    kind: Literal["location", "query", "frame"]
    text: str
    format: Literal["parquet", "csv", "jsonl", "arrow"]
    content: str = ""


class JobRequest(Spec):
    """What a job computes. Written once, before the job runs; two jobs with the same key and fingerprint are one job.

    Attributes:
        name: the job's name.
        key: who asks, without the attempt: a DAG's task and run, an asset and its partition, or the job's name.
        model: the model reference.
        engine: the engine's name.
        engine_options: its options.
        function: the function to run.
        params: its parameters, complete.
        uses_gpu: whether the model can use a GPU.
        preload: modules worth importing before workers start.
        spreads: whether one copy of the model may stand on several nodes.
        source: the input rows.
        input_schema: the input's Arrow schema, as base64 of its IPC form.
        outputs_schema: the output columns where they are known in advance, in the same form.
        column_handling: file columns.
        function_kind: how the function's rows belong together; see `gristmill.models.signature.FunctionKind`.
        partition_column: the input's own name of the column that tells partitions apart; None where there is none.
        messages: the input's own name of the column of chat messages; None where the function takes none.
        location: the normal location of the output.
        staging: the normal location of this job's work in progress, under `<location>/_gristmill/`.
        owner: who submitted it.
        created: when, in seconds since the epoch.
        shards: how many shards the plan has.
        rows: how many rows, where the plan knows.
        digests: digests of what the text above only points at (a pickled model, a registered one).
        registry: the address of the registry of a `models:` reference, where it is not that of the settings: whoever
            runs the job again finds the same.
        rerun: the wish that forced this job, where it has a name: the same wish again gets this job, not another.
    """

    name: str
    key: str
    model: str
    engine: str
    engine_options: dict[str, Any] = {}
    function: str
    params: dict[str, Any] = {}
    uses_gpu: bool = True
    preload: tuple[str, ...] = ()
    spreads: bool = False
    source: InputSource
    input_schema: str
    outputs_schema: str | None = None
    column_handling: dict[str, ColumnHandling] = {}
    function_kind: Literal["scalar", "table", "partitioned"] = "scalar"
    partition_column: str | None = None
    messages: str | None = None
    location: str
    staging: str
    owner: str
    created: float
    shards: int
    rows: int | None = None
    digests: dict[str, str] = {}
    registry: str | None = None
    rerun: str = ""

    @property
    def model_digest(self) -> str | None:
        """What a registered model was pinned to; None for other models."""
        told = self.digests.get("model")
        return told.rpartition(" ")[2] if told is not None and self.model.startswith("models:") else None

    @field_validator("params")
    @classmethod
    def _as_given(cls, value: dict[str, Any]) -> dict[str, Any]:
        return {name: param_from_plain(one) for name, one in value.items()}

    @field_serializer("params", when_used="json")
    def _plain(self, value: dict[str, Any]) -> dict[str, Any]:
        return {name: param_to_plain(one) for name, one in value.items()}

    @property
    def fingerprint(self) -> str:
        """A digest of what decides the result: 16 hexadecimal digits."""
        decisive = {
            "model": self.digests.get("model") or self.model,
            "engine": self.engine,
            "engine_options": self.engine_options,
            "function": self.function,
            "params": self.params,
            "source": self.source.model_dump(mode="json"),
            "column_handling": {name: spec.model_dump(mode="json") for name, spec in self.column_handling.items()},
            "location": self.location,
        }
        if self.messages is not None:  # so that all other jobs keep theirs
            decisive["messages"] = self.messages
        if self.partition_column is not None:
            decisive["partition_column"] = self.partition_column
        text = json.dumps(decisive, sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class RunRequest(Spec):
    """How one run of a job is done: what a rerun may change without being another job.

    Attributes:
        job_spec: replicas, resources, error policy.
        pool: the name of the pool.
        mode: what to do with files that are at the output location.
        allowed: normal prefixes that rows may name files under, besides the settings' own.
    """

    job_spec: JobSpec
    pool: str
    mode: SaveMode
    allowed: tuple[str, ...] = ()
