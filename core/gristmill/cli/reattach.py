"""What somebody who presses Ctrl-C is told."""

__all__ = ["Reattach"]


class Reattach:
    """The message for somebody who interrupts; as text, what is true at that moment.

    Args:
        text: what to say while there is no job.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text

    def to(self, job_id: str) -> None:
        """From now on there is a job, and it does not stop with the terminal."""
        self._text = (
            "\nInterrupted; the job goes on without this terminal."
            f"\n  follow it again   gristmill jobs wait {job_id}"
            f"\n  stop it           gristmill jobs cancel {job_id}"
        )

    def by_rerun(self, name: str) -> None:
        """From now on there is a job that runs in this process, and stops with it."""
        self._text = (
            "\nInterrupted; the job ran in this process and has stopped with it."
            f"\n  resume it         run the same with --name {name}"
        )
