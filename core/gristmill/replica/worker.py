"""The worker: one copy of a model, and the loop that feeds it."""

from gristmill.replica.channel import Channel
from gristmill.replica.messages import WorkerSpec

__all__ = ["run_worker"]


def run_worker(spec: WorkerSpec, channel: Channel) -> None:
    """Load the model, do the tasks that come over the channel, and return when told to stop."""
    raise NotImplementedError
