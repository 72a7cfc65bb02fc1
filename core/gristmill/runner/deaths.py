"""When workers' deaths end a job: whether a model, an engine or a machine is at fault, and no row."""

__all__ = ["DeathToll"]

_STILLBORN = 3
_FUTILE = 50
_CONVICTED = 5
_CONVICTED_LATER = 10
"""The same where rows have succeeded before: they may have left the bad ones behind, which often stand together."""


class DeathToll:
    """Counts deaths, and rows that were convicted of them, since a row last succeeded.

    One row may kill its worker, and is found (`gristmill.runner.suspects`). Where row after row kills it and none
    succeeds in between, the engine is at fault, and a job would convict all of its rows, one start of the engine each.

    Example:
        >>> toll = DeathToll()
        >>> toll.ready()
        >>> [toll.died(0, "CUDA error", was_ready=True, convicted=True) is None for _ in range(5)]
        [True, True, True, True, False]
    """

    def __init__(self) -> None:
        self._was_ever_ready = False
        self._stillborn: list[int] = []  # the workers that died while they loaded, since one was ready
        self._has_succeeded = False
        self._futile = self._convicted = 0

    def ready(self) -> None:
        """Count a worker whose model has been loaded."""
        self._was_ever_ready = True
        self._stillborn = []

    def succeeded(self) -> None:
        """A row has a result that stands in a part."""
        self._has_succeeded = True
        self._futile = self._convicted = 0

    def died(self, worker: int, reason: str, *, was_ready: bool, convicted: bool = False) -> str | None:
        """Count a death.

        Args:
            worker: its number.
            reason: how it died.
            was_ready: whether it had loaded its model.
            convicted: whether this convicts a row.

        Returns:
            Why the job must end; None while the worker should be started again.
        """
        if not was_ready and (why := self._died_loading(worker, reason)) is not None:
            return why
        self._convicted += convicted
        if self._convicted >= (_CONVICTED_LATER if self._has_succeeded else _CONVICTED):
            return (
                f"stopped: {self._convicted} rows have killed their worker, each alone, and none has succeeded in"
                f" between, so the engine is probably at fault and not the rows: {reason}{_advice(reason)}. Mend it and"
                " run the job again, which does these rows again; if it is the rows after all, take them out"
            )
        self._futile = 0 if convicted else self._futile + 1
        if self._futile >= _FUTILE:
            return (
                f"stopped: workers died {self._futile} times with nothing done in between: {reason}"
                f"{_advice(reason)}. Mend the cause and run the job again, which goes on from what is committed"
            )
        return None

    def _died_loading(self, worker: int, reason: str) -> str | None:
        """The same for one that had not loaded its model.

        Memory that runs out does so again: where no worker has ever been ready, a worker that is killed is tried once
        more, in case that it was killed for another reason, and not twice.
        """
        is_again = worker in self._stillborn
        self._stillborn.append(worker)
        is_hopeless = is_again and not self._was_ever_ready and _is_about_memory(reason)
        if len(self._stillborn) < _STILLBORN and not is_hopeless:
            return None
        return f"workers die while they load the model, {len(self._stillborn)} in a row: {reason}{_advice(reason)}"


def _is_about_memory(reason: str) -> bool:
    """Whether a death is probably the kernel's, or Ray's, when memory runs out."""
    return "SIGKILL" in reason or "memory" in reason.lower()


def _advice(reason: str) -> str:
    if not _is_about_memory(reason):
        return ""
    return (
        "; the machine may have run out of memory: ask for more by memory_requests, run fewer workers, or take a"
        " smaller model or a smaller cache"
    )
