"""`BatchRequest`: what an asset computes, as its definition says it; and as `run_batch` takes it, for a partition."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import dagster as dg

from dagster_gristmill.partition import WINDOW, field_names, fields_of, moment_form, tell_apart
from gristmill.declared import (
    INPUTS,
    as_fields,
    as_location,
    check_fields,
    check_inputs,
    digest,
    input_arguments,
    locations_in,
    spec_arguments,
)
from gristmill.errors import SpecError
from gristmill.inputs.formats import Format
from gristmill.jobs.outcome import parse_error_limit
from gristmill.spec.engine import EngineOptions, refuse_secrets
from gristmill.spec.job import JobSpec
from gristmill.spec.partition import path_of
from gristmill.spec.template import Template

if TYPE_CHECKING:
    from gristmill.settings import Settings

__all__ = ["BatchRequest"]

_SPECS = ("output_spec", "input_spec", "job_spec")
_PLACES = ("location", "base_location", "stage_location", "base_stage_location")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequest:
    """What is asked of each partition. Locations and queries may have fields, such as `{partition}`.

    Attributes:
        model: a reference, or an object; see `gristmill.run_batch`.
        output_spec: `OutputSpec(...)`, or a dict of its fields.
        input_location: files, or a glob.
        query: SQL over files.
        input_files: files as rows: a location, or `{"location": ..., "pattern": ..., "column_name": ...}`.
        input_asset: the asset whose output is the input.
        frame: rows, or a function of the partition's key that returns them.
        input_format: of the files, where their names do not tell.
        input_spec: params and file columns.
        job_spec: replicas, resources, what to do with failing rows.
        inference_engine_options: the engine and its options.
        compute_pool: the pool of the settings.
        fail_on_errors: fail when more rows than this have failed; see `gristmill.jobs.outcome`.
    """

    model: Any
    output_spec: Any
    input_location: Any = None
    query: str | None = None
    input_files: Any = None
    input_asset: dg.AssetKey | None = None
    frame: Any = None
    input_format: str | None = None
    input_spec: Any = None
    job_spec: Any = None
    inference_engine_options: Mapping[str, Any] | None = None
    compute_pool: str | None = None
    fail_on_errors: bool | float | str | None = None

    def check(self, partitions_def: dg.PartitionsDefinition | None) -> None:
        """Refuse what cannot be right, before anything runs: names of fields, inputs, templates.

        Raises:
            SpecError: something is wrong; the message names it.
        """
        if self.model is None or (isinstance(self.model, str) and not self.model.strip()):
            raise SpecError("model: is empty; give a reference such as 'python:package.module:Class', or an object")
        if self.output_spec is None:
            raise SpecError("output_spec: is missing; give OutputSpec(location=...) or a dict of its fields")
        for name in (*_SPECS, "input_files"):
            check_fields(name, as_fields(getattr(self, name)))
        named = [name for name in (*INPUTS, "input_asset", "frame") if getattr(self, name) is not None]
        if self.input_asset is None and self.frame is None:
            check_inputs({name: getattr(self, name) for name in INPUTS})
        elif len(named) > 1:
            raise SpecError(
                f"give exactly one of input_asset and {', '.join(INPUTS)}; {' and '.join(named)} were given"
            )
        self._check_texts()
        parse_error_limit(self.fail_on_errors)
        self._check_secrets()
        spec_arguments({name: as_fields(getattr(self, name)) for name in _SPECS})
        known = field_names(partitions_def)
        for template in self._templates():
            template.check(known, moments=known & WINDOW)
        if partitions_def is not None:
            self._check_apart(partitions_def)

    def _check_texts(self) -> None:
        texts = {"input_location": as_location(self.input_location), "query": self.query}
        for name, text in texts.items():
            if text is not None and (not isinstance(text, str) or not text.strip()):
                raise SpecError(f"{name}: give one text that is not empty (given: {text!r})")
        if self.input_format is not None and self.input_format not in get_args(Format):
            known = ", ".join(get_args(Format))
            raise SpecError(f"input_format: {self.input_format!r} is not known; choose one of: {known}")

    def _check_secrets(self) -> None:
        """As `run_batch` does: a definition is read by even more people than a job's record."""
        EngineOptions.of(self.inference_engine_options)
        fields = as_fields(self.input_spec)
        params = fields.get("params") if isinstance(fields, Mapping) else None
        if isinstance(params, Mapping):
            refuse_secrets(params, "input_spec.params")

    def _check_apart(self, partitions_def: dg.PartitionsDefinition) -> None:
        output = as_fields(self.output_spec)
        for name in ("location", "stage_location"):
            if output.get(name) is not None:
                tell_apart(Template(str(output[name]), what=f"output_spec.{name}"), partitions_def)
        job = as_fields(self.job_spec) or {}
        if job.get("job_name") is not None:
            raise SpecError(
                "job_spec.job_name: one name for the jobs of all partitions; give job_name_prefix, or leave it out"
            )

    def _templates(self) -> list[Template]:
        listing = as_fields(self.input_files)
        texts = {
            "input_location": as_location(self.input_location),
            "query": self.query,
            "input_files": listing.get("location") if isinstance(listing, Mapping) else as_location(listing),
        }
        output = as_fields(self.output_spec)
        texts |= {f"output_spec.{name}": as_location(output.get(name)) for name in _PLACES}
        return [Template(text, what=what) for what, text in texts.items() if isinstance(text, str)]

    @property
    def code_version(self) -> str | None:
        """What tells this request from one with other results; None for models and frames that only a run can tell."""
        if not isinstance(self.model, str) or self.frame is not None:
            return None
        told = {name: as_fields(getattr(self, name)) for name in ("input_spec", *INPUTS, "inference_engine_options")}
        told["function"] = (as_fields(self.job_spec) or {}).get("function_name")
        told["output"] = {name: place for name, place in as_fields(self.output_spec).items() if name in _PLACES}
        asset = None if self.input_asset is None else self.input_asset.to_user_string()
        return digest({**told, "model": self.model, "input_format": self.input_format, "input_asset": asset})

    def job_name(self, key: str) -> str:
        """The name of the job of a key."""
        from gristmill.submission.identity import job_name

        return job_name(JobSpec(**(as_fields(self.job_spec) or {})), key)

    @property
    def input_locations(self) -> list[str]:
        """The locations of files that are read, with their fields."""
        listing = as_fields(self.input_files)
        listed = listing.get("location") if isinstance(listing, Mapping) else listing
        given = [as_location(self.input_location), as_location(listed), *locations_in(self.query)]
        return [place for place in given if isinstance(place, str)]

    def arguments(
        self,
        partition: str | None,
        partitions_def: dg.PartitionsDefinition | None,
        settings: "Settings",
        *,
        given: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The keyword arguments of `gristmill.run_batch` for a partition; files are listed now.

        Args:
            partition: its key.
            partitions_def: what it is a key of.
            settings: give the stages of a listing.
            given: the input itself, where it is found elsewhere: `X` or `input_location`.

        Raises:
            SpecError: a field has a wrong value.
            EmptyInputError: a listing finds no files.
        """
        fields = fields_of(partitions_def, partition)
        form = moment_form(partitions_def)

        def filled(text: Any, what: str) -> Any:
            text = as_location(text)
            return Template(text, what=what).fill(_in_path(fields), moments=form) if isinstance(text, str) else text

        specs = {name: as_fields(getattr(self, name)) for name in _SPECS}
        specs["output_spec"] = {
            name: filled(value, f"output_spec.{name}") if name in _PLACES else value
            for name, value in specs["output_spec"].items()
        }
        if given is None and self.frame is not None:
            given = {"X": self.frame(partition) if callable(self.frame) else self.frame}
        if given is None:
            listing = as_fields(self.input_files)
            if isinstance(listing, Mapping):
                listing = {**listing, "location": filled(listing.get("location"), "input_files.location")}
            query = self.query
            if query is not None:
                query = Template(query, what="query").fill(_in_query(fields), moments=form)
            given = input_arguments(
                {
                    "input_location": filled(self.input_location, "input_location"),
                    "query": query,
                    "input_files": filled(listing, "input_files"),
                },
                settings,
            )
        return {
            "model": self.model,
            **given,
            **spec_arguments(specs),
            "input_format": self.input_format,
            "inference_engine_options": self.inference_engine_options,
            "compute_pool": self.compute_pool,
        }


def _in_path(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Texts as one segment of a path each."""
    return {name: path_of(value) if isinstance(value, str) else value for name, value in fields.items()}


def _in_query(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Texts as they stand between the quotes of SQL."""
    return {name: value.replace("'", "''") if isinstance(value, str) else value for name, value in fields.items()}
