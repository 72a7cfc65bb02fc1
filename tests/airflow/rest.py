"""Airflow's REST API (`/api/v2`), as the live tests use it. Answers are the API's own dictionaries."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from datetime import datetime
from typing import Any

_PAGE = 100
_POLL = 0.3
_TIMEOUT = 240.0
_LOOKS = 5
_ENDED = ("success", "failed")


class RestError(AssertionError):
    """The API refused, or something did not happen in time; holds what is known of it."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Rest:
    """A client of one server.

    Everywhere: `run_id` is what `trigger` returns, `map_index` is -1 for a task that is not mapped, `timeout` is in
    seconds, and whatever waits raises `RestError` with the tasks' logs when it waits in vain.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """One request below `/api/v2`: `call("GET", "/monitor/health")`. Raises `RestError` with the answer's text.

        A GET that a busy server fails is repeated: its database may be locked, or its answer late.
        """
        for _ in range(_LOOKS - 1 if method == "GET" else 0):
            try:
                return self._call(method, path, body, **query)
            except RestError as error:
                if error.status is None or error.status < 500:
                    raise
            except OSError:
                pass
            time.sleep(_POLL)
        return self._call(method, path, body, **query)

    def _call(self, method: str, path: str, body: Any, **query: Any) -> Any:
        given = {name: value for name, value in query.items() if value is not None}
        url = f"{self.address}/api/v2{path}?{urllib.parse.urlencode(given, doseq=True)}"
        request = urllib.request.Request(
            url,
            method=method,
            data=None if body is None else json.dumps(body, default=_text).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            raise RestError(f"{method} {path}: {error.code} {text}", status=error.code) from error
        return json.loads(content) if content else None

    def pages(self, path: str, key: str, **query: Any) -> list[dict[str, Any]]:
        """All entries of a listing."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.call("GET", path, limit=_PAGE, offset=len(found), **query)[key]
            found += page
            if len(page) < _PAGE:
                return found

    # Runs

    def trigger(
        self,
        dag_id: str,
        *,
        conf: dict[str, Any] | None = None,
        logical_date: datetime | None = None,
        run_id: str | None = None,
        **fields: Any,
    ) -> str:
        """Start a run and return its id. Further fields: `partition_key`, `data_interval_start`, `run_after`, ..."""
        body = {"logical_date": logical_date, "conf": conf or {}, **fields}
        if run_id is not None:
            body["dag_run_id"] = run_id
        return str(self.call("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """One run: `state`, `logical_date`, `data_interval_start`, `conf`, ..."""
        return dict(self.call("GET", _run(dag_id, run_id)))

    def runs(self, dag_id: str, **filters: Any) -> list[dict[str, Any]]:
        """The runs of a DAG; `dag_id` may be `~` for all."""
        return self.pages(f"/dags/{dag_id}/dagRuns", "dag_runs", **filters)

    def wait_for_run(
        self, dag_id: str, run_id: str, *states: str, timeout: float = _TIMEOUT, expect: str | None = "success"
    ) -> dict[str, Any]:
        """Wait until a run ends, or is in one of the states; unless `expect` is None, it must be in that one then."""
        wanted = states or _ENDED
        run = self._until(lambda: _in(self.run(dag_id, run_id), wanted), timeout, lambda: self.story(dag_id, run_id))
        if not states and expect is not None and run["state"] != expect:
            raise RestError(f"the run is {run['state']}, not {expect}\n{self.story(dag_id, run_id)}")
        return run

    # Tasks

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """All of a run, mapped ones with their `map_index`: `id`, `state`, `try_number`, `rendered_fields`, ..."""
        return self.pages(f"{_run(dag_id, run_id)}/taskInstances", "task_instances")

    def task_instance(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1) -> dict[str, Any]:
        """One of a run."""
        return dict(self.call("GET", f"{_task(dag_id, run_id, task_id)}{_mapped(map_index)}"))

    def tries(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1) -> list[dict[str, Any]]:
        """Every try of a task instance, the newest included."""
        return list(self.call("GET", f"{_task(dag_id, run_id, task_id)}{_mapped(map_index)}/tries")["task_instances"])

    def wait_for_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        *states: str,
        map_index: int = -1,
        try_number: int | None = None,
        timeout: float = _TIMEOUT,
    ) -> dict[str, Any]:
        """Wait until a task instance is in one of the states, in that try if one is given."""

        def look() -> dict[str, Any] | None:
            try:
                found = self.task_instance(dag_id, run_id, task_id, map_index=map_index)
            except RestError as error:  # a mapped one is not there before its list is known
                if error.status == 404:
                    return None
                raise
            return _in(found, states) if try_number in (None, found["try_number"]) else None

        return self._until(look, timeout, lambda: self.story(dag_id, run_id))

    def xcom(self, dag_id: str, run_id: str, task_id: str, *, key: str = "return_value", map_index: int = -1) -> Any:
        """What a task returned or pushed."""
        path = f"{_task(dag_id, run_id, task_id)}/xcomEntries/{key}"
        return self.call("GET", path, map_index=map_index, deserialize=True, stringify=False)["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, *, try_number: int | None = None, map_index: int = -1) -> str:
        """What a try logged, one message a line; of the newest try unless one is given."""
        if try_number is None:
            try_number = self.task_instance(dag_id, run_id, task_id, map_index=map_index)["try_number"]
        path = f"{_task(dag_id, run_id, task_id)}/logs/{try_number}"
        content = self.call("GET", path, map_index=map_index, full_content=True)["content"]
        return "\n".join(_line(entry) for entry in content)

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str, *, map_index: int = -1) -> None:
        """Mark a task instance `failed`, `success` or `skipped`, as a user does in the interface."""
        self.call("PATCH", f"{_task(dag_id, run_id, task_id)}{_mapped(map_index)}", {"new_state": state})

    def clear(self, dag_id: str, run_id: str, *task_ids: str | tuple[str, int], **fields: Any) -> None:
        """Clear task instances, whatever their state, so that they run again. None named clears the whole run."""
        body = {"dry_run": False, "only_failed": False, "dag_run_id": run_id, **fields}
        self.call("POST", f"/dags/{dag_id}/clearTaskInstances", body | ({"task_ids": task_ids} if task_ids else {}))

    def extra_links(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1) -> dict[str, str | None]:
        """The links that the interface shows on a task instance, by name."""
        path = f"{_task(dag_id, run_id, task_id)}/links"
        return dict(self.call("GET", path, map_index=map_index)["extra_links"])

    # What DAGs read

    def set_variable(self, key: str, value: str) -> None:
        """Make or change a variable."""
        try:
            self.call("POST", "/variables", {"key": key, "value": value})
        except RestError as error:
            if error.status != 409:
                raise
            self.call("PATCH", f"/variables/{key}", {"key": key, "value": value})

    def set_connection(
        self, connection_id: str, conn_type: str, *, extra: dict[str, Any] | None = None, **fields: Any
    ) -> None:
        """Make or change a connection."""
        body = {"connection_id": connection_id, "conn_type": conn_type, **fields}
        body |= {} if extra is None else {"extra": json.dumps(extra)}
        try:
            self.call("POST", "/connections", body)
        except RestError as error:
            if error.status != 409:
                raise
            self.call("PATCH", f"/connections/{connection_id}", body)

    # Backfills and assets

    def backfill(
        self,
        dag_id: str,
        from_date: datetime,
        to_date: datetime,
        *,
        max_active_runs: int = 2,
        reprocess: str = "none",
        conf: dict[str, Any] | None = None,
        **fields: Any,
    ) -> int:
        """Run a DAG for each of its dates, both bounds included, and return the backfill's id.

        `reprocess` says which runs that exist already are run again: `none`, `failed` or `completed`.
        """
        body = {
            "dag_id": dag_id,
            "from_date": from_date,
            "to_date": to_date,
            "max_active_runs": max_active_runs,
            "reprocess_behavior": reprocess,
            "dag_run_conf": conf or {},
            **fields,
        }
        return int(self.call("POST", "/backfills", body)["id"])

    def wait_for_backfill(self, backfill_id: int, *, timeout: float = 600.0) -> dict[str, Any]:
        """Wait until no run of a backfill is left, whatever became of them."""

        def look() -> dict[str, Any] | None:
            found = self.call("GET", f"/backfills/{backfill_id}")
            return found if found["completed_at"] is not None else None

        return self._until(look, timeout, lambda: f"backfill {backfill_id} has not ended")

    def cancel_backfill(self, backfill_id: int) -> None:
        """Start no more of its runs, and fail those that are queued; running ones go on."""
        self.call("PUT", f"/backfills/{backfill_id}/cancel")

    def asset_events(self, **filters: Any) -> list[dict[str, Any]]:
        """Asset events, oldest first: `uri`, `extra`, `source_task_id`, `source_map_index`, ..."""
        return self.pages("/assets/events", "asset_events", order_by="timestamp", **filters)

    # Waiting

    def story(self, dag_id: str, run_id: str) -> str:
        """The states of a run's tasks, with the end of each one's log: what a failed test should show."""
        parts = [f"run {run_id} of {dag_id}: {self.run(dag_id, run_id)['state']}"]
        for one in self.task_instances(dag_id, run_id):
            parts.append(f"  {one['task_id']}[{one['map_index']}]: {one['state']}, try {one['try_number']}")
            if one["try_number"]:
                try:
                    log = self.log(dag_id, run_id, one["task_id"], map_index=one["map_index"])
                except RestError as error:
                    log = str(error)
                parts += [f"    {line}" for line in log.splitlines()[-25:]]
        return "\n".join(parts)

    def _until(
        self, look: Callable[[], dict[str, Any] | None], timeout: float, story: Callable[[], str]
    ) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        while (found := look()) is None:
            if time.monotonic() > deadline:
                raise RestError(f"it did not happen within {timeout:g} s:\n{story()}")
            time.sleep(_POLL)
        return found


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} is not JSON")


def _run(dag_id: str, run_id: str) -> str:
    return f"/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id, safe='')}"


def _task(dag_id: str, run_id: str, task_id: str) -> str:
    return f"{_run(dag_id, run_id)}/taskInstances/{task_id}"


def _mapped(map_index: int) -> str:
    return "" if map_index == -1 else f"/{map_index}"


def _in(found: dict[str, Any], states: tuple[str, ...]) -> dict[str, Any] | None:
    return found if found["state"] in states else None


def _line(entry: Any) -> str:
    if isinstance(entry, str):
        return entry
    detail = entry.get("error_detail")
    return f"{entry.get('level', '')} {entry['event']}{'' if not detail else f' {json.dumps(detail)}'}".strip()
