"""Reads the connection named in the run's conf in a task and in the triggerer, and logs everything of it."""

import logging
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseOperator, Context, dag
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_gristmill.hook import GristmillHook
from gristmill.settings import Settings

log = logging.getLogger(__name__)


def tell(settings: Settings) -> None:
    """Log the settings in every form that a line could hold."""
    log.info("settings %s", settings)
    log.info("options %s of %s", settings.storage_options, settings.home)
    log.info("revealed %s", settings.model_dump_json(context={"reveal": True}))
    print("printed", settings.storage_options)  # noqa: T201 - a task's prints are part of its log


class ConnectionTrigger(BaseTrigger):
    """Fires when it has read the connection."""

    def __init__(self, connection: str) -> None:
        super().__init__()
        self.connection = connection

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "connection_live.ConnectionTrigger", {"connection": self.connection}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        settings = await GristmillHook(self.connection).asettings()
        tell(settings)
        log.info("the trigger has read it")
        yield TriggerEvent(settings.home)


class ReadConnection(BaseOperator):
    """Returns the home that the task found and the one that the trigger found."""

    template_fields = ("connection",)

    def __init__(self, *, connection: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.connection = connection

    def execute(self, context: Context) -> None:
        tell(GristmillHook(self.connection).settings())
        log.info("the task has read it")
        self.defer(trigger=ConnectionTrigger(self.connection), method_name="resume")

    def resume(self, context: Context, event: str) -> list[str]:
        return [GristmillHook(self.connection).settings().home, event]


@dag(schedule=None)
def connection_live():
    ReadConnection(task_id="read", connection="{{ dag_run.conf['connection'] }}")


connection_live()
