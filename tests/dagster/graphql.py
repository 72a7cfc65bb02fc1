"""Dagster's GraphQL API, as the live tests use it. Answers are the API's own dictionaries."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tests.dagster.answers import CHECK, MATERIALIZATION, METADATA, RUN, as_key, as_recorded, as_run, as_tags

_POLL = 0.5
_TRIES = 5
_TIMEOUT = 240.0
_ENDED = ("SUCCESS", "FAILURE", "CANCELED")
_REPOSITORY = "__repository__"
_JOB = "__ASSET_JOB"


class GraphQLError(AssertionError):
    """The API refused, or something did not happen in time; holds what is known of it."""


class GraphQL:
    """A client of one server and one code location.

    Everywhere: an asset is named `a/b`, `timeout` is in seconds, and whatever waits raises `GraphQLError` with the
    run's story when it waits in vain.
    """

    def __init__(self, address: str, *, location: str) -> None:
        self.address = address
        self.location = location

    def call(self, query: str, /, **variables: Any) -> dict[str, Any]:
        """One request; a query that a busy server leaves unanswered is repeated, a mutation may have been done.

        Raises `GraphQLError` with the errors in its answer.
        """
        request = urllib.request.Request(
            f"{self.address}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"},
        )
        left = 1 if query.startswith("mutation") else _TRIES
        while left:
            left -= 1
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    found = json.loads(answer.read())
                break
            except urllib.error.HTTPError as error:
                if error.code < 500 or not left:
                    raise GraphQLError(f"{error.code} {error.read().decode(errors='replace')}\n{query}") from error
            except OSError:
                if not left:
                    raise
            time.sleep(_POLL)
        if found.get("errors"):
            raise GraphQLError(f"{found['errors']}\n{query}")
        return dict(found["data"])

    def ask(self, field: str, given: Mapping[str, tuple[str, Any]], wanted: str, *, kind: str = "query") -> Any:
        """One field of the schema, whose answer must be of the type that `wanted` begins with.

        Args:
            field: such as `runOrError`.
            given: its arguments: name to type and value.
            wanted: type and fields, such as `Run { status }`.
            kind: `query` or `mutation`.
        """
        declared = ", ".join(f"${name}: {type_}" for name, (type_, _) in given.items())
        passed = ", ".join(f"{name}: ${name}" for name in given)
        error = "... on Error { message } ... on PythonError { stack }"
        query = f"{kind}({declared}) {{ answer: {field}({passed}) {{ __typename {error} ... on {wanted} }} }}"
        if not given:
            query = f"{kind} {{ answer: {field} {{ __typename {error} ... on {wanted} }} }}"
        answer = self.call(query, **{name: value for name, (_, value) in given.items()})["answer"]
        if answer["__typename"] != wanted.split()[0]:
            raise GraphQLError(f"{field}: {json.dumps(answer)[:4000]}")
        return answer

    def place(self) -> dict[str, str]:
        """What selects the code location, in many an input of the schema."""
        return {"repositoryLocationName": self.location, "repositoryName": _REPOSITORY}

    # The server

    def daemons(self) -> dict[str, bool]:
        """The daemons that the instance needs, and whether each is healthy."""
        found = self.call("{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }")
        statuses = found["instance"]["daemonHealth"]["allDaemonStatuses"]
        return {one["daemonType"]: bool(one["healthy"]) for one in statuses if one["required"]}

    def load_error(self) -> str | None:
        """Why the code location is not loaded; None when it is."""
        wanted = (
            "WorkspaceLocationEntry { loadStatus locationOrLoadError { __typename ... on PythonError { message } } }"
        )
        found = self.ask("workspaceLocationEntryOrError", {"name": ("String!", self.location)}, wanted)
        loaded = found["locationOrLoadError"]
        if loaded is None or found["loadStatus"] != "LOADED":
            return str(found["loadStatus"])
        return None if loaded["__typename"] == "RepositoryLocation" else str(loaded["message"])

    def reload(self) -> None:
        """Have the code location loaded again."""
        given = {"repositoryLocationName": ("String!", self.location)}
        self.ask("reloadRepositoryLocation", given, "WorkspaceLocationEntry { name }", kind="mutation")

    # Runs

    def launch(
        self,
        *assets: str,
        partition: str | None = None,
        tags: Mapping[str, str] | None = None,
        checks: list[tuple[str, str]] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> str:
        """Start a run of assets and return its id.

        Args:
            assets: those to materialize; none to run checks alone.
            partition: its key.
            tags: the run's.
            checks: asset and name of each check to run; None for those that come with the assets.
            config: the run's configuration.
        """
        every = {**({} if partition is None else {"dagster/partition": partition}), **(tags or {})}
        selector = {**self.place(), "jobName": _JOB, "assetSelection": [as_key(asset) for asset in assets]}
        if checks is not None:
            selector["assetCheckSelection"] = [{"assetKey": as_key(asset), "name": name} for asset, name in checks]
        given = {"selector": selector, "runConfigData": config or {}, "executionMetadata": {"tags": as_tags(every)}}
        wanted = "LaunchRunSuccess { run { runId } }"
        return str(
            self.ask("launchRun", {"executionParams": ("ExecutionParams!", given)}, wanted, kind="mutation")["run"][
                "runId"
            ]
        )

    def reexecute(self, run_id: str, *, strategy: str = "FROM_FAILURE") -> str:
        """Run again what failed in a run, or `ALL_STEPS`; the id of the new run."""
        given = {"parentRunId": run_id, "strategy": strategy}
        wanted = "LaunchRunSuccess { run { runId } }"
        asked = {"reexecutionParams": ("ReexecutionParams", given)}
        return str(self.ask("launchRunReexecution", asked, wanted, kind="mutation")["run"]["runId"])

    def run(self, run_id: str) -> dict[str, Any]:
        """One run: `status`, `tags` as a dictionary, `runConfigYaml`, ..."""
        return as_run(self.ask("runOrError", {"runId": ("ID!", run_id)}, f"Run {{ {RUN} }}"))

    def runs(self, **tags: str) -> list[dict[str, Any]]:
        """All runs with these tags, the oldest first; `dagster__backfill` means `dagster/backfill`."""
        wanted = [{"key": name.replace("__", "/"), "value": value} for name, value in tags.items()]
        found = self.ask("runsOrError", {"filter": ("RunsFilter", {"tags": wanted})}, f"Runs {{ results {{ {RUN} }} }}")
        return [as_run(one) for one in reversed(found["results"])]

    def wait_for_run(
        self, run_id: str, *statuses: str, timeout: float = _TIMEOUT, expect: str | None = "SUCCESS"
    ) -> dict[str, Any]:
        """Wait until a run ends, or is in one of the statuses; unless `expect` is None, it must be in that one then."""

        def look() -> dict[str, Any] | None:
            found = self.run(run_id)
            return found if found["status"] in (statuses or _ENDED) else None

        run: dict[str, Any] = self.until(look, timeout, lambda: self.story(run_id))
        if not statuses and expect is not None and run["status"] != expect:
            raise GraphQLError(f"the run is {run['status']}, not {expect}\n{self.story(run_id)}")
        return run

    def terminate(self, run_id: str, *, policy: str = "SAFE_TERMINATE") -> None:
        """Ask a run to end, or `MARK_AS_CANCELED_IMMEDIATELY` without asking it."""
        given = {"runId": ("String!", run_id), "terminatePolicy": ("TerminateRunPolicy", policy)}
        self.ask("terminateRun", given, "TerminateRunSuccess { run { runId } }", kind="mutation")

    def events(self, run_id: str) -> list[dict[str, Any]]:
        """What a run has logged: `message`, `eventType`, `level`, `stepKey`, `timestamp`, `error`."""
        every: list[dict[str, Any]] = []
        wanted = (
            """EventConnection { cursor hasMore events { __typename
            ... on MessageEvent { message eventType level stepKey timestamp }
            ... on ErrorEvent { error { message className stack causes { message className stack } } }
            ... on LogsCapturedEvent { logKey fileKey }
            ... on DisplayableEvent { """
            + METADATA
            + """ }
        } }"""
        )
        cursor: str | None = None
        while True:
            given = {"runId": ("ID!", run_id), "afterCursor": ("String", cursor)}
            page = self.ask("logsForRun", given, wanted)
            every += page["events"]
            cursor = page["cursor"]
            if not page["hasMore"]:
                return every

    def printed(self, run_id: str) -> str:
        """What the steps of a run have written to their standard output and error."""
        keys = [event["fileKey"] for event in self.events(run_id) if event["__typename"] == "LogsCapturedEvent"]
        parts = []
        for key in keys:
            query = "query($key: [String!]!) { capturedLogs(logKey: $key) { stdout stderr } }"
            found = self.call(query, key=[run_id, "compute_logs", key])["capturedLogs"]
            parts += [found["stdout"] or "", found["stderr"] or ""]
        return "\n".join(parts)

    # Backfills

    def backfill(
        self,
        asset: str,
        partitions: list[str],
        *,
        tags: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> str:
        """Materialize partitions of an asset as its backfill policy says, and return the backfill's id.

        The daemon looks for backfills every 30 seconds.
        """
        given = {
            "assetSelection": [as_key(asset)],
            "partitionNames": partitions,
            "tags": as_tags(tags or {}),
            "runConfigData": config or {},
        }
        wanted = "LaunchBackfillSuccess { backfillId }"
        asked = {"backfillParams": ("LaunchBackfillParams!", given)}
        return str(self.ask("launchPartitionBackfill", asked, wanted, kind="mutation")["backfillId"])

    def reexecute_backfill(self, backfill_id: str) -> str:
        """Run again the partitions that failed in a backfill, as a new one."""
        given = {"parentRunId": backfill_id, "strategy": "FROM_FAILURE"}
        wanted = "LaunchBackfillSuccess { backfillId }"
        asked = {"reexecutionParams": ("ReexecutionParams", given)}
        return str(self.ask("reexecutePartitionBackfill", asked, wanted, kind="mutation")["backfillId"])

    def backfill_status(self, backfill_id: str) -> str:
        """`REQUESTED`, `COMPLETED_SUCCESS`, `COMPLETED_FAILED`, ..."""
        given = {"backfillId": ("String!", backfill_id)}
        return str(self.ask("partitionBackfillOrError", given, "PartitionBackfill { status }")["status"])

    def wait_for_backfill(self, backfill_id: str, *statuses: str, timeout: float = 600.0) -> str:
        """Wait until a backfill is in one of the statuses, by default one that ends it."""
        ended = statuses or ("COMPLETED_SUCCESS", "COMPLETED_FAILED", "COMPLETED", "FAILED", "CANCELED")

        def look() -> str | None:
            found = self.backfill_status(backfill_id)
            return found if found in ended else None

        return str(self.until(look, timeout, lambda: self._story_of_backfill(backfill_id)))

    def wait_for_runs(
        self, backfill_id: str, count: int, *statuses: str, timeout: float = 600.0
    ) -> list[dict[str, Any]]:
        """Wait until a backfill has so many runs in one of the statuses, by default those that end a run."""

        def look() -> list[dict[str, Any]] | None:
            runs = [run for run in self.runs(dagster__backfill=backfill_id) if run["status"] in (statuses or _ENDED)]
            return runs if len(runs) >= count else None

        told = partial(self._story_of_backfill, backfill_id)
        found: list[dict[str, Any]] = self.until(look, timeout, told, pause=1.0)
        return found

    # Assets

    def materializations(self, asset: str, *, partitions: list[str] | None = None) -> list[dict[str, Any]]:
        """Every materialization, the oldest first: `runId`, `partition`, `metadata` and `tags` as dictionaries."""
        given = {"keys": ("[AssetKeyInput!]", [as_key(asset)]), "partitions": ("[String!]", partitions)}
        declared = ", ".join(f"${name}: {type_}" for name, (type_, _) in given.items())
        query = f"""query({declared}) {{ assetNodes(assetKeys: $keys) {{
            assetMaterializations(partitions: $partitions, limit: 1000) {{ {MATERIALIZATION} }} }} }}"""
        (node,) = self.call(query, **{name: value for name, (_, value) in given.items()})["assetNodes"]
        return [as_recorded(one) for one in reversed(node["assetMaterializations"])]

    def latest(self, asset: str, *, partition: str | None = None) -> dict[str, Any]:
        """The newest materialization."""
        found = self.materializations(asset, partitions=None if partition is None else [partition])
        if not found:
            raise GraphQLError(f"{asset} has no materialization of {partition}")
        return found[-1]

    def partition_counts(self, asset: str) -> dict[str, int]:
        """How many partitions an asset has: `numPartitions`, `numMaterialized`, `numFailed`, `numMaterializing`."""
        query = """query($keys: [AssetKeyInput!]) { assetNodes(assetKeys: $keys) {
            partitionStats { numPartitions numMaterialized numFailed numMaterializing } } }"""
        (node,) = self.call(query, keys=[as_key(asset)])["assetNodes"]
        return dict(node["partitionStats"])

    def checks(self, asset: str) -> dict[str, dict[str, Any] | None]:
        """The checks of an asset by name, each with its latest execution: `status`, `evaluation`, ..."""
        query = f"""query($keys: [AssetKeyInput!]) {{ assetNodes(assetKeys: $keys) {{ assetChecksOrError {{
            ... on AssetChecks {{ checks {{ name executionForLatestMaterialization {{ {CHECK} }} }} }} }} }} }}"""
        (node,) = self.call(query, keys=[as_key(asset)])["assetNodes"]
        found = {}
        for check in node["assetChecksOrError"]["checks"]:
            execution = check["executionForLatestMaterialization"]
            if execution is not None and execution["evaluation"] is not None:
                execution = {**execution, "evaluation": as_recorded(execution["evaluation"])}
            found[check["name"]] = execution
        return found

    # Sensors

    def start_sensor(self, name: str) -> None:
        """Turn a sensor on; the daemon looks at it within some 5 seconds."""
        given = {"sensorSelector": ("SensorSelector!", self._sensor(name))}
        self.ask("startSensor", given, "Sensor { name }", kind="mutation")

    def stop_sensor(self, name: str) -> None:
        """Turn a sensor off."""
        given = {"sensorSelector": ("SensorSelector!", self._sensor(name))}
        found = self.ask("sensorOrError", given, "Sensor { sensorState { id } }")
        asked = {"id": ("String", found["sensorState"]["id"])}
        wanted = "StopSensorMutationResult { instigationState { status } }"
        self.ask("stopSensor", asked, wanted, kind="mutation")

    def ticks(self, name: str) -> list[dict[str, Any]]:
        """Every tick of a sensor, the oldest first: `status`, `runIds`, `runKeys`, `skipReason`, `error`, `cursor`."""
        given = {"sensorSelector": ("SensorSelector!", self._sensor(name))}
        ticks = "ticks(limit: 1000) { tickId status timestamp runIds runKeys skipReason cursor error { message } }"
        found = self.ask("sensorOrError", given, f"Sensor {{ sensorState {{ status {ticks} }} }}")
        return list(reversed(found["sensorState"]["ticks"]))

    def wait_for_tick(self, name: str, *, after: int, timeout: float = 60.0) -> dict[str, Any]:
        """The newest tick of a sensor, once more than `after` of them have ended."""

        def look() -> dict[str, Any] | None:
            ended = [tick for tick in self.ticks(name) if tick["status"] != "STARTED"]
            return ended[-1] if len(ended) > after else None

        found: dict[str, Any] = self.until(look, timeout, lambda: f"ticks of {name}: {self.ticks(name)}")
        return found

    # Waiting

    def story(self, run_id: str) -> str:
        """What a run has logged, the end of it: what a failed test should show."""
        lines = [f"run {run_id}: {self.run(run_id)['status']}"]
        for event in self.events(run_id)[-60:]:
            lines.append(f"  {event.get('level')} {event.get('eventType')} {event.get('message')}")
            error = event.get("error")
            if error:
                lines += [f"    {error['message']}", *(f"    {cause['message']}" for cause in error["causes"])]
        return "\n".join(lines)

    def until(self, look: Callable[[], Any], timeout: float, story: Callable[[], str], *, pause: float = _POLL) -> Any:
        """What a look finds, once it finds something; the story is told when it does not."""
        deadline = time.monotonic() + timeout
        while not (found := look()):
            if time.monotonic() > deadline:
                raise GraphQLError(f"it did not happen within {timeout:g} s:\n{story()}")
            time.sleep(pause)
        return found

    def _story_of_backfill(self, backfill_id: str) -> str:
        runs = self.runs(dagster__backfill=backfill_id)
        told = [f"  {run['runId']} {run['status']} {run['tags'].get('dagster/partition')}" for run in runs]
        failed = [self.story(run["runId"]) for run in runs if run["status"] == "FAILURE"]
        return "\n".join([f"backfill {backfill_id}: {self.backfill_status(backfill_id)}", *told, *failed[:2]])

    def _sensor(self, name: str) -> dict[str, Any]:
        return {**self.place(), "sensorName": name}
