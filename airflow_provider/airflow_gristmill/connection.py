"""A connection's fields as the settings that they stand for. Pure: nothing is opened, masked or logged here."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from gristmill.errors import SpecError
from gristmill.spec.secrets import secret_values, texts, with_secrets

__all__ = ["CONNECTION_TYPE", "ConnectionFields", "Given", "read_connection"]

CONNECTION_TYPE = "gristmill"

_POOL = "cluster"
"""The pool that a cluster address in the connection defines."""
_PORT = 8265
_MASK = "***"
_EXAMPLES = {
    "stages": '{"images": "s3://lake/images"}',
    "storage_options": '{"s3": {"endpoint_url": "http://minio:9000"}}',
    "storage_secrets": '{"s3": {"key": "...", "secret": "..."}}',
    "pools": '{"gpu": {"kind": "ray", "address": "http://head:8265"}}',
    "endpoints": '{"lab": {"base_url": "http://llm.lab:8000/v1"}}',
    "resolver": '{"max_in_flight": 128}',
}
"""The fields that hold objects, each with what one looks like."""
_TEXTS = ("home", "default_pool", "registry", "model_cache")
_LISTS = {"allowed": ("prefixes", '["s3://lake/raw/"]'), "trusted_registries": ("addresses", '["http://mlflow:5000"]')}
"""The fields that hold lists: what of, and what one looks like."""
_FIELDS = frozenset({*_TEXTS, *_LISTS, *_EXAMPLES})


class ConnectionFields(Protocol):
    """What is read of an Airflow connection, of the SDK's class or the metadata database's."""

    conn_id: str
    conn_type: str | None
    host: str | None
    schema: str | None
    port: int | None
    password: str | None
    extra: str | None


class Given(NamedTuple):
    """What a connection says.

    Attributes:
        settings: keyword arguments of `Settings.load`; what the connection leaves open is not among them.
        secrets: texts that no log may show.
    """

    settings: dict[str, Any]
    secrets: set[str]


def read_connection(connection: ConnectionFields) -> Given:
    """The settings and the secrets in a connection.

    Fields of `extra` are objects, or JSON as text where they come from a URI; null and empty text leave a field open.

    Raises:
        SpecError: a field is unknown, is no JSON, or contradicts another. The message repeats no value.
    """
    owner = f"connection {connection.conn_id!r}"
    if connection.conn_type not in (None, "", CONNECTION_TYPE):
        raise SpecError(
            f"{owner} is of type {connection.conn_type!r}; give the id of a connection of type {CONNECTION_TYPE!r},"
            " or change its type"
        )
    extra = _extra(owner, connection.extra)
    values: dict[str, Any] = {name: extra[name] for name in _TEXTS if name in extra}
    values |= {name: _lines(owner, name, extra[name]) for name in _LISTS if name in extra}
    values |= {name: _object(owner, name, extra[name]) for name in _EXAMPLES if name in extra}
    hidden = values.pop("storage_secrets", {})
    if hidden:
        values["storage_options"] = _merged(owner, values.get("storage_options", {}), hidden)
    token = connection.password or None
    address = _address(owner, connection)
    if address is None and token is not None:
        raise SpecError(
            f"{owner}: password (the cluster's token) stands without host (the cluster's address); give both,"
            " or remove the password"
        )
    if address is not None:
        pools = values.get("pools", {})
        values["pools"] = {**pools, _POOL: _cluster(owner, pools.get(_POOL, {}), address=address, token=token)}
        values.setdefault("default_pool", _POOL)
    secrets = {*secret_values(values), *texts(hidden), *texts(token)}
    if _MASK in secrets:
        raise SpecError(
            f"{owner}: a secret is {_MASK!r}, which Airflow shows instead of secrets; enter the secret itself again"
        )
    return Given(values, secrets)


def _extra(owner: str, text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    found = _json(text)
    if not isinstance(found, dict):
        raise SpecError(f'{owner}: extra is not a JSON object; write it as {{"home": "s3://ops/gristmill"}}')
    unknown = sorted(found.keys() - _FIELDS)
    if unknown:
        raise SpecError(
            f"{owner}: extra has the field {unknown[0]!r}, which is none; the fields are {', '.join(sorted(_FIELDS))}"
        )
    return {name: value for name, value in found.items() if value is not None and value != ""}


def _json(text: str) -> Any:
    """The value of a JSON text; None where it is none, so that no error quotes it."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _object(owner: str, name: str, value: Any) -> dict[str, Any]:
    found = _json(value) if isinstance(value, str) else value
    if not isinstance(found, dict):
        raise SpecError(f"{owner}: extra.{name} is not a JSON object; write it as {_EXAMPLES[name]}")
    return found


def _lines(owner: str, name: str, value: Any) -> list[str]:
    """Texts: a list, the same as JSON, or one on each line."""
    if isinstance(value, str):
        value = _json(value) if value.lstrip().startswith("[") else value.splitlines()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        what, example = _LISTS[name]
        raise SpecError(f"{owner}: extra.{name} is not a list of {what}; write it as {example}")
    return [item.strip() for item in value if item.strip()]


def _merged(owner: str, options: Mapping[str, Any], hidden: Mapping[str, Any]) -> dict[str, Any]:
    """Storage options with the secret ones among them."""
    wrong = sorted(scheme for part in (options, hidden) for scheme, each in part.items() if not isinstance(each, dict))
    if wrong:
        raise SpecError(
            f"{owner}: storage options of {wrong[0]!r} are not a JSON object; write extra.storage_secrets as"
            f" {_EXAMPLES['storage_secrets']}"
        )
    return with_secrets(options, hidden)


def _address(owner: str, connection: ConnectionFields) -> str | None:
    """`http://head:8265` from the host, or from scheme, host and port as a URI gives them."""
    host = (connection.host or "").strip().rstrip("/")
    port = connection.port or None  # Airflow's form sends 0 for a port that it does not show
    if not host:
        if port is not None:
            raise SpecError(f"{owner}: port stands without host; give the cluster's address, such as http://head:8265")
        return None
    if "://" in host:
        address = host if port is None else f"{host}:{port}"
    else:
        named = ":" in host.rpartition("]")[2]
        address = f"{connection.schema or 'http'}://{host}"
        address += "" if named and port is None else f":{_PORT if port is None else port}"
    if not address.startswith(("http://", "https://")) or "@" in address:
        raise SpecError(
            f"{owner}: host is not the address of a Ray cluster's Jobs API; write it as http://head:8265,"
            " and a token into password"
        )
    return address


def _cluster(owner: str, pool: Any, *, address: str, token: str | None) -> Any:
    if not isinstance(pool, dict):
        return pool  # the settings say what is wrong with it
    if pool.get("address", address) != address:
        raise SpecError(
            f"{owner}: host and extra.pools.{_POOL}.address differ; host defines the pool {_POOL!r},"
            " so give the other pool another name"
        )
    return {"kind": "ray", **pool, "address": address, **({} if token is None else {"token": token})}
