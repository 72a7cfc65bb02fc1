"""Stock tasks that show what the live server and the tests' client of it can do."""

import time
from datetime import timedelta

from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import Asset, Variable, dag, get_current_context, task


@dag(schedule=None)
def harness_steps():
    wait = TimeDeltaSensor(task_id="wait", delta=timedelta(seconds=1), deferrable=True)

    @task(outlets=[Asset("file:///harness/steps")])
    def say(word: str) -> str:
        print("the word is", word)  # noqa: T201 - a task's prints are part of its log
        return word * 2

    wait >> say.expand(word=["a", "b"])


@dag(schedule=None)
def harness_slow():
    @task(retries=1, retry_delay=timedelta(0))
    def work() -> str:
        if get_current_context()["ti"].try_number == 1:
            time.sleep(600)
        return Variable.get("harness_word")

    work()


@dag(schedule=None)
def harness_deferred():
    TimeDeltaSensor(task_id="wait", delta=timedelta(seconds=12), deferrable=True)


harness_steps()
harness_slow()
harness_deferred()
