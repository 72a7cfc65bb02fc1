"""The resource in a `defs.yaml`: its secrets are named, and read where a run starts."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, TypeAlias

import dagster as dg
from pydantic import ConfigDict

from dagster_gristmill.component.checked import Checked
from dagster_gristmill.component.text import text, values
from dagster_gristmill.io_manager import GristmillIOManager
from dagster_gristmill.resource import GristmillResource
from gristmill.errors import SpecError
from gristmill.settings import EndpointSettings, PoolSettings, ResolverSettings
from gristmill.spec.secrets import secret_values

__all__ = ["EndpointFields", "PoolFields", "ResourceFields", "Secret"]

_tell = dg.Resolver.default
_HIDDEN = ConfigDict(hide_input_in_errors=True)
_MOVE = "move it to storage_secrets, as {env: NAME}"


class SecretFields(dg.Model):
    """A secret, by the variable of the environment that holds it."""

    env: str


def _secret(context: dg.ResolutionContext, given: Any) -> dg.EnvVar | None:
    """The variable; never its value, which would stand in the definition for all to see."""
    if given is None or isinstance(given, dg.EnvVar):
        return given
    if isinstance(given, SecretFields):
        return _variable(given.env)
    found = context.resolve_value(given) if isinstance(given, str) and "{{" in given else given
    if isinstance(found, dg.EnvVar):
        return _variable(found.env_var_name)
    raise SpecError("is a secret, and would stand in the definition; name its variable: {env: NAME}")


def _variable(name: str) -> dg.EnvVar:
    if not re.fullmatch(r"[A-Za-z_]\w*", name):  # not repeated: it may be the secret itself
        raise SpecError("env: is not the name of a variable; write {env: NAME}, without braces in it")
    return dg.EnvVar(name)


def _secrets(context: dg.ResolutionContext, given: Any) -> dict[str, dict[str, dg.EnvVar]]:
    if not isinstance(given, Mapping):
        raise SpecError(
            "storage_secrets: name the variable of each secret, by scheme: {s3: {key: {env: NAME}}} "
            f"(given: {type(given).__name__})"
        )
    return {
        scheme: {name: _named(context, f"{scheme}.{name}", one) for name, one in options.items()}
        for scheme, options in given.items()
    }


def _named(context: dg.ResolutionContext, name: str, given: Any) -> dg.EnvVar:
    try:
        found = _secret(context, given)
    except SpecError as error:
        raise SpecError(f"storage_secrets.{name}: {error}") from None
    if found is None:
        raise SpecError(f"storage_secrets.{name}: is empty; name its variable: {{env: NAME}}")
    return found


def secret(description: str) -> dg.Resolver:
    """How a secret is read: as the name of a variable."""
    return dg.Resolver(
        _secret,
        model_field_type=SecretFields | None,
        description=description,
        examples=[{"env": "TOKEN"}],
        inject_before_resolve=False,
    )


Secret: TypeAlias = dg.EnvVar | None


class PoolFields(Checked):
    """One place where jobs run."""

    model_config = _HIDDEN

    kind: Annotated[str, text("inline, local or ray.")]
    address: Annotated[str | None, text("The Jobs API of a Ray cluster.", "http://head:8265")] = None
    token: Annotated[Secret, secret("What the cluster asks of its clients.")] = None
    runtime_env: Annotated[dict[str, Any], values("Ray's runtime environment of the job.")] = {}
    placement_timeout: Annotated[
        float | None, _tell(description="Seconds to wait for the first replica to be placed.")
    ] = None
    init: Annotated[dict[str, Any], values("Keyword arguments of ray.init, without an address.")] = {}

    def check(self) -> None:
        """Refuse wrong values."""
        _refuse_password("address", self.address, "give what the cluster asks as token: {env: NAME}")
        PoolSettings(**_with_stand_ins(self.given()))


class EndpointFields(Checked):
    """A service that speaks the OpenAI API."""

    model_config = _HIDDEN

    base_url: Annotated[str | None, text("The address before /chat/completions.")] = None
    api_key: Annotated[Secret, secret("Sent as a bearer token.")] = None
    options: Annotated[dict[str, Any], values("Further fields.", {"requests_per_minute": 600})] = {}

    def check(self) -> None:
        """Refuse wrong values."""
        for name in ("api_key", "base_url"):
            if name in self.options:
                raise SpecError(f"options: {name} has a field of its own; give it there, a key as {{env: NAME}}")
        fields = _with_stand_ins(self.given())
        EndpointSettings(**{**fields.pop("options", {}), **fields})


class ResourceFields(Checked):
    """Where jobs live and run. What is left open comes from `gristmill.toml` and the `GRISTMILL_` variables."""

    model_config = _HIDDEN

    home: Annotated[
        str | None,
        text("Where job records live: a folder or bucket that all machines reach.", "{{ env.GRISTMILL_HOME }}"),
    ] = None
    stages: Annotated[dict[str, str], values("Stage names to the locations they stand for.")] = {}
    allowed: Annotated[list[str], values("Prefixes, besides the stages, that rows may name files under.")] = []
    pools: Annotated[
        dict[str, PoolFields],
        _tell(
            description="Where jobs run; inline, local and ray are always there.",
            examples=[{"gpu": {"kind": "ray", "address": "http://head:8265", "token": {"env": "RAY_TOKEN"}}}],
        ),
    ] = {}
    default_pool: Annotated[str | None, text("The pool of an asset that names none.")] = None
    storage_options: Annotated[
        dict[str, dict[str, Any]], values("Keyword arguments of fsspec filesystems, by scheme.")
    ] = {}
    storage_secrets: Annotated[
        dict[str, dict[str, dg.EnvVar]],
        dg.Resolver(
            _secrets,
            model_field_type=dict[str, dict[str, SecretFields | str]],
            description="Those of them that nobody may see.",
            examples=[{"s3": {"key": {"env": "S3_KEY"}, "secret": {"env": "S3_SECRET"}}}],
            inject_before_resolve=False,
        ),
    ] = {}
    endpoints: Annotated[
        dict[str, EndpointFields], _tell(description="Services that speak the OpenAI API, by name.")
    ] = {}
    resolver: Annotated[dict[str, Any], values("Bounds on fetching the files that rows name.")] = {}
    registry: Annotated[
        str | None, text("The MLflow server that models:/name/version is looked up in.", "{{ env.MLFLOW_SERVER }}")
    ] = None
    trusted_registries: Annotated[
        list[str] | None, values("The only registries that models may come from.", ["http://mlflow:5000"])
    ] = None
    model_cache: Annotated[str | None, text("A folder of each machine for the files of registered models.")] = None

    def check(self) -> None:
        """Refuse wrong values; those of the surroundings are looked at where a run starts."""
        ResolverSettings(**self.resolver)
        for what, place in (
            ("home", self.home),
            ("stages", self.stages),
            ("allowed", self.allowed),
            ("registry", self.registry),
        ):
            _refuse_password(what, list(place.values()) if isinstance(place, dict) else place, _MOVE)
        for scheme, options in self.storage_options.items():
            for name, value in options.items():
                if secret_values({name: _as_texts(value)}):
                    raise SpecError(
                        f"storage_options.{scheme}.{name}: is a secret, and would stand in the definition; {_MOVE}"
                    )

    def resource(self) -> GristmillResource:
        """The resource; two components that say the same share one, as Dagster asks of resources with one key."""
        return _shared(_Described(self))

    def io_manager(self) -> GristmillIOManager:
        """What loads outputs with this resource; shared likewise."""
        return _loading(_Described(self))


class _Described:
    """Fields that say the same are the same."""

    def __init__(self, fields: ResourceFields) -> None:
        self.fields = fields
        self.text = repr(_plain(fields))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Described) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


def _plain(value: Any) -> Any:
    """A value in which equal things read equal; a variable reads as its name."""
    if isinstance(value, dg.EnvVar):
        return ("env", value.env_var_name)
    if isinstance(value, dg.Model):
        return {name: _plain(getattr(value, name)) for name in sorted(value.model_fields_set)}
    if isinstance(value, Mapping):
        return {name: _plain(value[name]) for name in sorted(value)}
    return value


@cache
def _shared(described: _Described) -> GristmillResource:
    given = described.fields.given()
    for name in ("pools", "endpoints"):
        if name in given:
            given[name] = {key: one.given() for key, one in given[name].items()}
    return GristmillResource(**given)


@cache
def _loading(described: _Described) -> GristmillIOManager:
    return GristmillIOManager(gristmill=_shared(described))


def _refuse_password(what: str, urls: Any, way_out: str) -> None:
    if secret_values(urls):
        raise SpecError(f"{what}: holds a password, which would stand in the definition; {way_out}")


def _as_texts(value: Any) -> Any:
    """Numbers as texts: a password may be one."""
    if isinstance(value, Mapping):
        return {name: _as_texts(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_texts(item) for item in value]
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _with_stand_ins(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields whose secrets, which nobody reads here, are some text."""
    return {name: "a-secret" if isinstance(value, dg.EnvVar) else value for name, value in fields.items()}
