"""What a service is asked to be; creating it again with the same request attaches to it."""

import re
from typing import Literal

from pydantic import PositiveFloat, field_validator

from gristmill.errors import SpecError
from gristmill.spec.base import Spec
from gristmill.spec.job import Count, Cpus, Gpus, Memory

__all__ = ["ServiceRequest", "checked_name"]

_NAME = re.compile(r"[a-z_][a-z0-9_\-]*(\.[a-z_][a-z0-9_\-]*){0,2}")
_LONGEST = 128
_LAST_PORT = 65_535


def checked_name(name: str) -> str:
    """A service's name as it is kept: in lower case, for SQL does not tell cases apart.

    Raises:
        SpecError: it is no name.

    Example:
        >>> checked_name("Sales.Public.Chat")
        'sales.public.chat'
    """
    folded = name.strip().lower() if isinstance(name, str) else ""
    if len(folded) > _LONGEST or not _NAME.fullmatch(folded):
        raise SpecError(
            "name: a service's name has letters, digits, '_' and '-', begins with a letter or '_', may have up to two "
            f"names before it (db.schema.name), and at most {_LONGEST} characters (given: {name!r})"
        )
    return folded


class ServiceRequest(Spec):
    """A service as its creator asked for it.

    Attributes:
        model: its reference, pinned: `hf:<folder or name>`, `models:/name/3`, `echo:chat`.
        served_model: what requests call the model.
        engine: what serves it.
        pool: the pool's name; kind: its kind.
        engine_args_override: arguments for the engine's own server.
        trust_remote_code: whether the model's own files may run code.
        replicas: copies of the model.
        cpu_requests, memory_requests, gpu_requests: of one copy.
        host: the address that the server listens at; port: None for any that is free.
        timeout: seconds that it may take until it answers.
        digest: of the files of a registered model.
    """

    model: str
    served_model: str
    engine: Literal["vllm", "echo"]
    pool: str
    kind: Literal["local", "ray"]
    engine_args_override: tuple[str, ...] = ()
    trust_remote_code: bool = False
    replicas: Count = 1
    cpu_requests: Cpus | None = None
    memory_requests: Memory | None = None
    gpu_requests: Gpus | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    timeout: PositiveFloat = 600.0
    digest: str | None = None

    @field_validator("served_model")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not value.strip() or any(character.isspace() or not character.isprintable() for character in value):
            raise ValueError("is no name for a model: it is empty, or holds a space or an invisible character")
        return value

    @field_validator("port")
    @classmethod
    def _is_port(cls, value: int | None) -> int | None:
        if value is not None and not 0 < value <= _LAST_PORT:
            raise ValueError(f"is not a port; give 1 to {_LAST_PORT}, or none for any that is free")
        return value

    @field_validator("host")
    @classmethod
    def _is_host(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.\-]*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", value):
            raise ValueError("is not an address to listen at, such as '127.0.0.1', '0.0.0.0' or '::1'")
        return value

    def differences(self, other: "ServiceRequest") -> list[str]:
        """The fields in which another request asks for something else; how long to wait for it is no difference.

        Example:
            >>> one = ServiceRequest(model="echo:chat", served_model="echo", engine="echo", pool="local", kind="local")
            >>> one.differences(one.model_copy(update={"replicas": 2, "timeout": 5.0}))
            ['replicas']
        """
        mine, theirs = self.model_dump(exclude={"timeout"}), other.model_dump(exclude={"timeout"})
        return [name for name, value in mine.items() if theirs[name] != value]
