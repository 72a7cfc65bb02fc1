"""Reading many S3 objects fast, with the settings and credentials of the S3 filesystem.

s3fs stays the filesystem; obstore reads whole objects some ten times as fast, and its blocking calls in threads up to
four times as fast as its own coroutines. What obstore cannot be told, or a key that it cannot name, is left to s3fs.
"""

import os
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gristmill.storage.failure import FileTooLargeError, TransientError

__all__ = ["S3Objects"]

_STATUS = re.compile(r"status code: (\d{3})[ \w]*")
_UNUSED = frozenset({"connect_timeout", "max_pool_connections", "read_timeout", "retries"})
_WITHOUT_MEANING = frozenset(
    {
        "default_block_size", "default_cache_type", "default_fill_cache", "fixed_upload_size", "listings_expiry_time",
        "local_expiry_check", "max_concurrency", "max_paths", "s3_additional_kwargs", "skip_instance_cache",
        "use_listings_cache",
    }
)  # fmt: skip
_NO_CREDENTIALS = "no AWS credentials were found, or none that last; set them, or storage_options.s3.anon = true"
_CREDENTIAL_LIFE = timedelta(minutes=15)


class S3Objects:
    """Whole objects of S3 buckets, for many threads at once.

    Args:
        options: the storage options of `s3`, as s3fs takes them.
        timeout: seconds for one request, its body included.
        max_bytes: a larger object is refused before its body is read.
    """

    def __init__(self, options: Mapping[str, Any], *, timeout: float, max_bytes: int) -> None:
        self._timeout = timedelta(seconds=timeout)
        self._max_bytes = max_bytes
        self._config = _config(options)
        self._anonymous = bool(options.get("anon"))
        self._profile = options.get("profile")
        self._provider: Any = None
        self._stores: dict[str, Any] = {}

    def store(self, location: str) -> tuple[Any, str] | None:
        """The obstore store and the key of a location; None where s3fs has to read it."""
        if self._config is None:
            return None
        bucket, _, key = location[5:].partition("/")
        if not key or key[-1] == "/" or "//" in key or "\0" in key or not {".", ".."}.isdisjoint(key.split("/")):
            return None
        if bucket.startswith("arn:"):
            return None
        store = self._stores.get(bucket)
        if store is None:
            store = self._stores[bucket] = self._open(bucket)
        return (store, key) if store is not False else None

    def read(self, store: Any, key: str, *, admit: Callable[[int], None]) -> Any:
        """The content of an object, as a buffer.

        Raises:
            FileNotFoundError, PermissionError, FileTooLargeError: as they say; another try is no use.
            TransientError: the request may go well another time.
        """
        from obstore.exceptions import BaseError

        try:
            found = store.get(key)
            size = found.meta["size"]
            if size > self._max_bytes:
                raise FileTooLargeError.of(size, self._max_bytes)
            admit(size)
            return found.bytes()
        except FileNotFoundError:
            raise FileNotFoundError("there is no such object") from None
        except BaseError as error:
            # The error's own text holds the server's answer and the request, which may hold credentials.
            raise _translated(type(error).__name__, str(error)) from None

    def _open(self, bucket: str) -> Any:
        try:
            from obstore.store import S3Store
        except ImportError:
            return False
        config = dict(self._config or {})
        client = {"timeout": self._timeout, "connect_timeout": min(self._timeout, timedelta(seconds=10))} | config.pop(
            "client"
        )
        signed = not self._anonymous and "access_key_id" not in config
        return S3Store(
            bucket,
            config=config,
            client_options=client,
            retry_config={"max_retries": 0},
            credential_provider=self._credentials() if signed else None,
        )

    def _credentials(self) -> Any:
        """Botocore's own search for credentials, which s3fs does too: environment, profiles, roles, the instance."""
        if self._provider is None:
            from botocore.session import Session  # type: ignore[import-untyped]

            credentials = Session(profile=self._profile).get_credentials()

            def provide() -> dict[str, Any]:
                if credentials is None:
                    raise PermissionError(_NO_CREDENTIALS)
                frozen = credentials.get_frozen_credentials()
                return {
                    "access_key_id": frozen.access_key,
                    "secret_access_key": frozen.secret_key,
                    "token": frozen.token,
                    "expires_at": datetime.now(UTC) + _CREDENTIAL_LIFE,
                }

            self._provider = provide
        return self._provider


def _config(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """s3fs's options in obstore's words; None when some have no such words."""
    left = {name: value for name, value in options.items() if value is not None and name not in _WITHOUT_MEANING}
    client = dict(left.pop("client_kwargs", {}))
    botocore = {name: value for name, value in left.pop("config_kwargs", {}).items() if name not in _UNUSED}
    addressing = dict(botocore.pop("s3", {}))
    style = addressing.pop("addressing_style", "auto")
    endpoint = left.pop("endpoint_url", None) or client.pop("endpoint_url", None) or _environment("AWS_ENDPOINT_URL_S3")
    endpoint = endpoint or _environment("AWS_ENDPOINT_URL")
    region = client.pop("region_name", None) or left.pop("region_name", None)
    region = region or _environment("AWS_REGION") or _environment("AWS_DEFAULT_REGION")
    verify = client.pop("verify", None)
    config: dict[str, Any] = {"client": {"allow_http": True}}
    if verify is False:
        config["client"]["allow_invalid_certificates"] = True
    elif bundle := (verify if isinstance(verify, str) else _environment("AWS_CA_BUNDLE")):
        config["client"]["root_certificate"] = Path(bundle).read_bytes()
    if not endpoint and not region:
        return None  # s3fs finds out the bucket's region; obstore would ask the wrong one
    if endpoint:
        config["endpoint"] = endpoint
    if region:
        config["region"] = region
    config["virtual_hosted_style_request"] = style == "virtual" or (style == "auto" and not endpoint)
    for names, key in {
        ("key", "username", "aws_access_key_id"): "access_key_id",
        ("secret", "password", "aws_secret_access_key"): "secret_access_key",
        ("token", "aws_session_token"): "session_token",
    }.items():
        for name in names:
            if value := left.pop(name, None) or client.pop(name, None):
                config[key] = value
    if left.pop("anon", False):
        config["skip_signature"] = True
        for key in ("access_key_id", "secret_access_key", "session_token"):
            config.pop(key, None)
    if left.pop("requester_pays", False):
        config["request_payer"] = True
    left.pop("profile", None)
    if config["virtual_hosted_style_request"] and endpoint:
        return None  # obstore wants the bucket within the endpoint then
    for switch in ("version_aware", "cache_regions", "asynchronous"):
        if left.get(switch) is False:
            left.pop(switch)
    return None if left or client or botocore or addressing else config


def _environment(name: str) -> str | None:
    return os.environ.get(name) or None


def _translated(kind: str, text: str) -> OSError:
    found = _STATUS.search(text)
    status = found[1] if found else ""
    if kind in ("PermissionDeniedError", "UnauthenticatedError"):
        return PermissionError(f"the store refused access ({status})" if status else _NO_CREDENTIALS)
    if status == "429" or status == "408" or status.startswith("5"):
        return TransientError(f"the store answered {found[0].removeprefix('status code: ') if found else status}")
    if status:
        return OSError(f"the store answered {status}")
    if "TimedOut" in text or "timed out" in text:
        return TransientError("the store did not answer in time", timed_out=True)
    if "HTTP error" in text:
        return TransientError("the connection to the store failed or was dropped")
    return OSError(f"the store could not give the object ({kind})")
