"""Cluster client: the Jobs API of a Ray cluster over plain HTTP, so that a client needs no Ray."""

import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gristmill.errors import AccessError, JobNotFoundError, JobStateError, PlacementError, SpecError
from gristmill.settings import Settings
from gristmill.spec.enums import JobStatus

__all__ = ["ClusterClient", "Submission", "cluster_at"]

_STATUS = {
    "PENDING": JobStatus.PENDING,
    "RUNNING": JobStatus.RUNNING,
    "SUCCEEDED": JobStatus.DONE,
    "FAILED": JobStatus.FAILED,
    "STOPPED": JobStatus.CANCELLED,
}

_TRIES = 3
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True, slots=True)
class Submission:
    """What a cluster knows of a submitted job.

    Attributes:
        status: its state in our words; DONE says only that its process ended well.
        message: Ray's line about it.
    """

    status: JobStatus
    message: str


class ClusterClient:
    """The Jobs API at one address. Each call may be repeated without harm.

    Every method raises `PlacementError` when the cluster does not answer, and `AccessError` when it wants a token.

    Args:
        address: such as `http://head.cluster:8265`.
        token: for clusters with token authentication. Default: what Ray itself would take, from `RAY_AUTH_TOKEN`, the
            file `RAY_AUTH_TOKEN_PATH`, or `~/.ray/auth_token`.
        timeout: seconds for one request.
        patience: seconds for which `submit` tries again while the cluster is not ready; a fresh one can take minutes.

    Example:
        >>> ClusterClient("http://127.0.0.1:9/").address
        'http://127.0.0.1:9'
    """

    def __init__(
        self, address: str, *, token: str | None = None, timeout: float = 30.0, patience: float = 180.0
    ) -> None:
        self.address = address.rstrip("/")
        self._token = _token() if token is None else token
        self._timeout = timeout
        self._patience = patience

    def submit(
        self,
        entrypoint: str,
        *,
        submission_id: str,
        runtime_env: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Have the cluster run a shell command; nothing happens when the id has been submitted already.

        Raises:
            SpecError: the cluster refuses the request, such as its runtime environment.
        """
        body = {
            "entrypoint": entrypoint,
            "submission_id": submission_id,
            "runtime_env": dict(runtime_env or {}),
            "metadata": dict(metadata or {}),
        }
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE
        while True:
            try:
                self._request("POST", "/api/jobs/", body)
            except _NotReadyError as error:
                if f"{submission_id} already exists" in str(error):
                    return
                if "Request failed with status code 400" in str(error):
                    raise SpecError(f"the cluster at {self.address} refuses the job: {_last_line(error)}") from error
                if time.monotonic() + pause > deadline:
                    raise PlacementError(
                        f"the cluster at {self.address} took no job within {self._patience:g} s: {_last_line(error)};"
                        f" see that it runs, and that {self.address}/api/jobs/ answers"
                    ) from error
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                return

    def status(self, submission_id: str) -> Submission:
        """How a submitted job stands.

        Raises:
            JobNotFoundError: the cluster does not know it (any more).
        """
        found = self._ask("GET", self._path(submission_id))
        return Submission(_STATUS[found["status"]], found.get("message") or "")

    def is_alive(self, submission_id: str) -> bool | None:
        """Whether a submitted job is waiting or running.

        None when that cannot be told: the cluster does not answer, or does not know the job (yet, or since a restart).
        """
        try:
            found = self._request("GET", self._path(submission_id))
        except (_NotReadyError, AccessError, JobNotFoundError):
            return None
        return not _STATUS[found["status"]].is_terminal

    def logs(self, submission_id: str) -> str:
        """What a submitted job's process has printed.

        Raises:
            JobNotFoundError: the cluster does not know it (any more).
        """
        text: str = self._ask("GET", f"{self._path(submission_id)}/logs")["logs"]
        return text

    def stop(self, submission_id: str) -> None:
        """Have a submitted job end: SIGTERM, and SIGKILL three seconds later. One that has ended is left as it is.

        Raises:
            JobNotFoundError: the cluster does not know it (any more).
        """
        self._ask("POST", f"{self._path(submission_id)}/stop")

    def delete(self, submission_id: str) -> None:
        """Have the cluster forget a job that has ended; one that it does not know is forgotten already.

        Raises:
            JobStateError: the job has not ended.
        """
        try:
            self._ask("DELETE", self._path(submission_id))
        except JobNotFoundError:
            return
        except PlacementError as error:
            if self.is_alive(submission_id):
                raise JobStateError(
                    f"job {submission_id!r} at {self.address} has not ended; stop it, and delete it then"
                ) from error
            raise

    def ray_version(self) -> str:
        """The cluster's version of Ray; shows that it answers, and takes this client's token."""
        version: str = self._ask("GET", "/api/version")["ray_version"]
        return version

    def _path(self, submission_id: str) -> str:
        return f"/api/jobs/{urllib.parse.quote(submission_id, safe='')}"

    def _ask(self, method: str, path: str) -> Any:
        """One request, with a few tries."""
        pause = _FIRST_PAUSE
        for _ in range(_TRIES - 1):
            try:
                return self._request(method, path)
            except _NotReadyError:
                time.sleep(pause)
                pause *= 2
        try:
            return self._request(method, path)
        except _NotReadyError as error:
            raise PlacementError(
                f"the cluster at {self.address} does not answer {method} {path}: {_last_line(error)};"
                " see that it runs, and correct the pool's address if it has moved"
            ) from error

    def _request(self, method: str, path: str, body: Any = None) -> Any:
        """One try.

        Raises:
            _NotReadyError: it may work later.
        """
        headers = {
            "Content-Type": "application/json",
            **({"Authorization": f"Bearer {self._token}"} if self._token else {}),
        }
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}{path}", data, headers, method=method)  # noqa: S310 - http(s) only
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:  # noqa: S310
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise self._refusal(error.code, error.read().decode(errors="replace"), path) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _NotReadyError(f"{type(error).__name__}: {error}") from error

    def _refusal(self, code: int, text: str, path: str) -> Exception:
        if code in (401, 403):
            return AccessError(
                f"the cluster at {self.address} refuses this client ({code}: {_last_line(text)}); give the pool its"
                " token, set RAY_AUTH_TOKEN to it, or put it into ~/.ray/auth_token"
            )
        if code == 404 and "does not exist" in text:
            return JobNotFoundError(f"the cluster at {self.address} does not know {path.split('/')[3]!r}")
        if code == 400 and "already exists" not in text:
            return SpecError(f"the cluster at {self.address} refuses the request: {_last_line(text)}")
        return _NotReadyError(f"{code}: {text}")


def cluster_at(settings: Settings, address: str, *, timeout: float = 30.0) -> ClusterClient:
    """The client for an address, with the token of the pool that has this address.

    Args:
        settings: where the pools are; a record knows the address alone.
        address: of the Jobs API.
        timeout: seconds for one request.
    """
    wanted = address.rstrip("/")
    tokens = (
        pool.token.get_secret_value().strip()
        for pool in settings.pools.values()
        if pool.token is not None and pool.address is not None and pool.address.rstrip("/") == wanted
    )
    return ClusterClient(address, token=next(tokens, None), timeout=timeout)


class _NotReadyError(Exception):
    """The cluster does not answer, or answers that it cannot now."""


def _last_line(text: object) -> str:
    """Ray answers with tracebacks; their last line says what is wrong."""
    lines = str(text).strip().splitlines()
    return lines[-1].strip()[:500] if lines else "no answer"


def _token() -> str | None:
    """The token that Ray would use, or None."""
    if os.environ.get("RAY_AUTH_MODE", "token").lower() == "disabled":
        return None
    if token := os.environ.get("RAY_AUTH_TOKEN"):
        return token.strip()
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    try:
        return (Path(path) if path else Path.home() / ".ray" / "auth_token").read_text().strip() or None
    except (OSError, RuntimeError):
        return None
