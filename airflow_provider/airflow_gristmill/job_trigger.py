"""`BatchJobTrigger`: waits for a job in the triggerer, without holding a worker's slot."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_gristmill.failures import may_pass_later
from airflow_gristmill.hook import GristmillHook
from gristmill.errors import JobNotFoundError
from gristmill.jobs.watch import Watch, observe

if TYPE_CHECKING:
    from gristmill.jobs.handle import Job

__all__ = ["BatchJobTrigger"]


class BatchJobTrigger(BaseTrigger):
    """Fires when a job has ended, in whatever state; its progress goes to the task's log.

    All it knows is the job's id, so it can be moved to another triggerer, or go on after a restart, at any time. The
    event is `{"job": id, "status": ...}`; what it means is for whoever resumes.

    Args:
        job_id: the job's id or name; the event names the one that was waited for.
        gristmill_conn_id: the connection that gives the settings.
        poll_interval: seconds between two looks at most; the first ones come sooner.
        log_interval: seconds between lines of progress.
        cancel_on_kill: cancel the job when somebody marks the task failed or succeeded, or clears it.
        holder: who waits, as the job's record has it; another may have come to wait since, and keeps the job.
        may_come: wait for a job that does not exist yet, too.
    """

    def __init__(
        self,
        job_id: str,
        *,
        gristmill_conn_id: str = GristmillHook.default_conn_name,
        poll_interval: float = 30.0,
        log_interval: float = 60.0,
        cancel_on_kill: bool = False,
        holder: str | None = None,
        may_come: bool = False,
    ) -> None:
        super().__init__()
        self.job_id = job_id
        self.gristmill_conn_id = gristmill_conn_id
        self.poll_interval = poll_interval
        self.log_interval = log_interval
        self.cancel_on_kill = cancel_on_kill
        self.holder = holder
        self.may_come = may_come

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class, and what makes another one like this."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "job_id": self.job_id,
                "gristmill_conn_id": self.gristmill_conn_id,
                "poll_interval": self.poll_interval,
                "log_interval": self.log_interval,
                "cancel_on_kill": self.cancel_on_kill,
                "holder": self.holder,
                "may_come": self.may_come,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the job has ended. Storage is read in threads: the event loop serves other triggers too."""
        watch = Watch(began=time.monotonic(), say_every=self.log_interval, longest_pause=self.poll_interval)
        job: Job | None = None
        while not watch.has_ended:
            try:
                job = job or await self._job()
                watch = await asyncio.to_thread(observe, watch, job, now=time.monotonic())
            except JobNotFoundError:
                if job is not None or not self.may_come:
                    raise
            except Exception as error:
                if not may_pass_later(error):
                    raise
                watch = watch.bearing(error, now=time.monotonic())
            if watch.due is not None:
                self.log.info("%s", watch.due)
            if not watch.has_ended:
                await asyncio.sleep(watch.pause(time.monotonic()))
        assert job is not None
        assert watch.seen is not None
        yield TriggerEvent({"job": job.id, "status": watch.seen.status.value})

    async def on_kill(self) -> None:
        """Somebody ended the task: cancel the job. A triggerer that stops or restarts does not come here."""
        if not self.cancel_on_kill:
            return
        job = await self._job()
        # a cleared task's next try may wait for the job before the triggerer has ended this one
        is_asked = await asyncio.to_thread(job.cancel, holder=self.holder)
        self.log.info("Job %s %s", self.job_id, "is cancelled" if is_asked else "has ended, or another waits for it")

    async def _job(self) -> "Job":
        settings = await GristmillHook(self.gristmill_conn_id).asettings()

        def find() -> "Job":
            from gristmill.api import get_job  # its imports take time

            return get_job(self.job_id, settings=settings)

        return await asyncio.to_thread(find)
