"""Stock tasks that show what a run in the tests' own process can do."""

import logging
from datetime import timedelta

from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import dag, get_current_context, task


@dag(schedule=None)
def harness_in_process():
    wait = TimeDeltaSensor(task_id="wait", delta=timedelta(seconds=1), deferrable=True)

    @task
    def say(word: str) -> str:
        logging.getLogger("harness").info("the word is %s", word)
        return word * 2

    @task(retries=1, retry_delay=timedelta(0))
    def fail_once() -> int:
        context = get_current_context()
        if context["ti"].try_number == 1:
            raise ValueError("first try")
        return context["dag_run"].conf["number"]

    wait >> say.expand(word=["a", "b"]) >> fail_once()


harness_in_process()
