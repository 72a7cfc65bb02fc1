"""`GristmillHook`: the settings that a connection of type `gristmill` stands for."""

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import amask_secret, mask_secret, redact

from airflow_gristmill.connection import CONNECTION_TYPE, read_connection
from gristmill.errors import GristmillError, SpecError
from gristmill.spec.secrets import secret_values

if TYPE_CHECKING:
    from gristmill.settings import Settings

__all__ = ["GristmillHook"]


class GristmillHook(BaseHook):
    """Reads a connection; what it leaves open comes from `gristmill.toml` and the `GRISTMILL_` variables.

    There need be no connection of the default id: the surroundings alone are the settings then.

    Args:
        gristmill_conn_id: the connection.

    Example:
        >>> settings = GristmillHook().settings()  # doctest: +SKIP
        >>> gristmill.list_jobs(settings=settings)  # doctest: +SKIP
    """

    conn_name_attr: ClassVar[str] = "gristmill_conn_id"
    default_conn_name: ClassVar[str] = "gristmill_default"
    conn_type: ClassVar[str] = CONNECTION_TYPE
    hook_name: ClassVar[str] = "Gristmill"

    def __init__(self, gristmill_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.gristmill_conn_id = gristmill_conn_id
        self._settings: Settings | None = None

    def settings(self) -> "Settings":
        """The settings in force; read once. Their secrets are masked in logs from then on.

        Raises:
            SpecError: there is no such connection, or a field of it is wrong; the message repeats no secret.
        """
        if self._settings is None:
            try:
                connection = self.get_connection(self.gristmill_conn_id)
            except AirflowNotFoundException as error:
                self._refuse_unless_default(error)
                given: dict[str, Any] = {}
            else:
                given, secrets = read_connection(connection)
                mask_secret(sorted(secrets))
            settings = self._load(given)
            mask_secret(_secrets(settings))
            self._settings = settings
        return self._settings

    async def asettings(self) -> "Settings":
        """The same as `settings`, for triggers: the event loop is never held up.

        Raises:
            SpecError: as `settings`.
        """
        if self._settings is None:
            try:
                connection = await self.aget_connection(self.gristmill_conn_id)
            except AirflowNotFoundException as error:
                self._refuse_unless_default(error)
                given: dict[str, Any] = {}
            else:
                given, secrets = read_connection(connection)
                await amask_secret(sorted(secrets))
            settings = await asyncio.to_thread(self._load, given)
            await amask_secret(_secrets(settings))
            self._settings = settings
        return self._settings

    def get_conn(self) -> "Settings":
        """The same as `settings`."""
        return self.settings()

    def test_connection(self) -> tuple[bool, str]:
        """Try what the connection names: the home is written to and read, stages are listed, clusters asked.

        It says what this machine can reach; workers may sit elsewhere.
        """
        try:
            settings = self.settings()
        except GristmillError as error:
            return False, str(redact(str(error)))
        from gristmill.submission.reach import reach

        looks = reach(settings)
        problems = [f"{look.field}: {look.problem}" for look in looks if look.problem]
        told = "; ".join(problems or [f"{look.field}: {look.found}" for look in looks])
        return not problems, str(redact(told))  # what the masks of this process know besides

    def _refuse_unless_default(self, error: Exception) -> None:
        variable = f"AIRFLOW_CONN_{self.gristmill_conn_id.upper()}"
        if os.environ.get(variable):
            # Airflow takes one that it cannot read for one that is not there; other settings would be another home
            raise SpecError(
                f"connection {self.gristmill_conn_id!r}: {variable} cannot be read; write it as JSON,"
                ' {"conn_type": "gristmill", "extra": {"home": "s3://ops/gristmill"}}, or as a URI'
            ) from error
        if self.gristmill_conn_id != self.default_conn_name:
            raise SpecError(
                f"connection {self.gristmill_conn_id!r} is not defined; add it with type {self.conn_type!r} in Airflow"
                f" (Admin, Connections), or give gristmill_conn_id={self.default_conn_name!r}"
            ) from error
        self.log.info(
            "There is no connection %r: gristmill.toml and the GRISTMILL_ variables hold", self.gristmill_conn_id
        )

    def _load(self, given: Mapping[str, Any]) -> "Settings":
        from gristmill.settings import Settings

        try:
            return Settings.load(**given)
        except SpecError as error:
            if not given:
                raise
            raise SpecError(
                f"connection {self.gristmill_conn_id!r}: {error}; correct the connection, or gristmill.toml and the"
                " GRISTMILL_ variables for what it leaves open"
            ) from error


def _secrets(settings: "Settings") -> list[str]:
    return sorted(secret_values(settings.model_dump(mode="json", context={"reveal": True})))
