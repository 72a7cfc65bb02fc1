"""What is asked of Dagster's GraphQL API about runs, materializations and checks, and the answers as plain data."""

from collections.abc import Mapping
from typing import Any

METADATA = """
    metadataEntries {
      __typename label
      ... on TextMetadataEntry { value: text }
      ... on UrlMetadataEntry { value: url }
      ... on PathMetadataEntry { value: path }
      ... on MarkdownMetadataEntry { value: mdStr }
      ... on JsonMetadataEntry { value: jsonString }
      ... on IntMetadataEntry { text: intRepr }
      ... on FloatMetadataEntry { number: floatValue }
      ... on BoolMetadataEntry { boolean: boolValue }
      ... on TimestampMetadataEntry { moment: timestamp }
      ... on PipelineRunMetadataEntry { value: runId }
      ... on TableSchemaMetadataEntry { schema { columns { name type } } }
    }
"""
RUN = "runId status parentRunId rootRunId runConfigYaml startTime endTime canTerminate tags { key value }"
MATERIALIZATION = "runId partition timestamp tags { key value }" + METADATA
CHECK = (
    "runId status evaluation { success severity description partition targetMaterialization { runId }" + METADATA + "}"
)


def as_key(asset: str) -> dict[str, list[str]]:
    """An asset's key, as inputs of the schema have it."""
    return {"path": asset.split("/")}


def as_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags, as inputs of the schema have them."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def as_run(found: dict[str, Any]) -> dict[str, Any]:
    """A run, with its tags as a dictionary."""
    rest = {name: value for name, value in found.items() if name != "__typename"}
    return {**rest, "tags": {tag["key"]: tag["value"] for tag in found["tags"]}}


def as_recorded(found: dict[str, Any]) -> dict[str, Any]:
    """What has metadata, with it and with tags, if there are any, as dictionaries."""
    metadata = {entry["label"]: _value(entry) for entry in found["metadataEntries"]}
    tags = {tag["key"]: tag["value"] for tag in found.get("tags", ())}
    rest = {name: value for name, value in found.items() if name != "metadataEntries"}
    return {**rest, "metadata": metadata, "tags": tags}


def _value(entry: dict[str, Any]) -> Any:
    if "text" in entry:
        return int(entry["text"])
    if "schema" in entry:
        return {column["name"]: column["type"] for column in entry["schema"]["columns"]}
    return next((entry[name] for name in ("value", "number", "boolean", "moment") if name in entry), None)
