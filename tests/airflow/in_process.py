"""A DAG run in this process with `dag.test()`: no scheduler and no triggerer, deferred tasks included."""

import itertools
import logging
from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.sdk import DAG
from airflow.utils.session import create_session

_FOLDERS = (Path(__file__).parent / "dags", Path(__file__).parents[2] / "example_dags")
_UNSET: Any = object()

listeners: list[Callable[[str], None]] = []
"""Told each line of a run's log as it comes, in the thread that logs it."""


@dataclass(frozen=True)
class Run:
    """How a run went.

    Attributes:
        dag_run: Airflow's own record.
        log: one line for each message logged meanwhile, by the tasks and by Airflow: `INFO logger message`, with the
            traceback where there is one.
    """

    dag_run: DagRun
    log: str

    @property
    def state(self) -> str:
        """Of the run: `success` or `failed`."""
        return str(self.dag_run.state)

    @property
    def run_id(self) -> str:
        """Of the run."""
        return self.dag_run.run_id

    def task_instances(self) -> dict[tuple[str, int], TaskInstance]:
        """By task and map index; -1 for a task that is not mapped."""
        with create_session() as session:
            found = self.dag_run.get_task_instances(session=session)
            session.expunge_all()
        return {(one.task_id, one.map_index): one for one in found}

    def task_state(self, task_id: str, *, map_index: int = -1) -> str:
        """Of one task: `success`, `failed`, `up_for_retry`, ..."""
        return str(self.task_instances()[task_id, map_index].state)

    def xcom(self, task_id: str, *, key: str = "return_value", map_index: int = -1) -> Any:
        """What a task returned or pushed; None if there is none."""
        with create_session() as session:
            found = session.scalars(
                XComModel.get_many(
                    run_id=self.run_id, dag_ids=self.dag_run.dag_id, task_ids=task_id, key=key, map_indexes=map_index
                )
            ).first()
            return None if found is None else XComModel.deserialize_value(found)


def load_dag(dag_id: str) -> DAG:
    """The DAG as its file in `dags`, or among the examples, makes it now."""
    errors = {}
    for folder in _FOLDERS:
        bag = DagBag(dag_folder=folder)
        if dag_id in bag.dags:
            return bag.dags[dag_id]
        errors |= bag.import_errors
    raise AssertionError(f"no DAG {dag_id!r} in {', '.join(map(str, _FOLDERS))}; errors: {errors}")


def run(
    dag: DAG | str,
    *,
    conf: dict[str, Any] | None = None,
    logical_date: datetime | None = _UNSET,
    run_after: datetime | None = None,
    **options: Any,
) -> Run:
    """Run a DAG of the folder `dags`, or of the examples, to its end.

    Args:
        dag: its id, or what `load_dag` returned, changed as the test likes.
        conf: of the run; read by templates as `dag_run.conf` and `params`.
        logical_date: with time zone; None for a run without one; now unless given. The data interval follows from it.
        run_after: makes the run's id where there is no logical date; now unless given.
        **options: further ones of `dag.test`.

    Tasks with retries are tried again at once after their `retry_delay`: write a small one.
    """
    wanted = load_dag(dag) if isinstance(dag, str) else dag
    dated = {} if logical_date is _UNSET else {"logical_date": logical_date}
    with _recorded() as lines:
        dag_run = wanted.test(run_conf=conf, run_after=run_after, **dated, **options)
    return Run(dag_run, "\n".join(lines))


@contextmanager
def meanwhile(act: Callable[[], object], *, told: str, times: int = 1) -> Iterator[None]:
    """Do something once, in another thread, when the block's run has logged so many lines that hold `told`.

    The block ends after it, and raises what it raised.
    """
    done: list[Future[object]] = []
    count = itertools.count(1)

    def listen(line: str) -> None:
        if told in line and next(count) == times:
            done.append(pool.submit(act))

    with ThreadPoolExecutor(max_workers=1) as pool:
        listeners.append(listen)
        try:
            yield
        finally:
            listeners.remove(listen)
    for one in done:
        one.result()


def _tell(lines: list[str], line: str) -> None:
    lines.append(line)
    for listener in tuple(listeners):
        listener(line)


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage() if isinstance(record.msg, str) else str(record.msg)
        if record.exc_info:
            text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
        _tell(self._lines, f"{record.levelname} {record.name} {text}")


@contextmanager
def _recorded() -> Iterator[list[str]]:
    """Whatever is logged meanwhile, through structlog or `logging`: a task's messages take either way."""
    lines: list[str] = []

    def note(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        rest = {name: value for name, value in event.items() if name not in ("event", "exc_info")}
        text = f"{method.upper()} {getattr(logger, 'name', None) or ''} {event.get('event')}"
        shown = " ".join(f"{name}={value!r}" for name, value in rest.items() if not name.startswith("_"))
        error = structlog.processors.ExceptionRenderer()(logger, method, {"exc_info": event.get("exc_info")})
        _tell(lines, "\n".join(part for part in (f"{text} {shown}".rstrip(), error.get("exception")) if part))
        return event

    handler = _Lines(lines)
    # In place, since loggers that exist keep the list that they were made with.
    processors = structlog.get_config()["processors"]
    processors.insert(0, note)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        processors.remove(note)
        root.removeHandler(handler)
