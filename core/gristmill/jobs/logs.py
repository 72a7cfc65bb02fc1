"""Reading a run's logs back."""

from gristmill.storage.location import join
from gristmill.storage.storage import Storage

__all__ = ["instances", "read_log"]


def _instance(name: str) -> str:
    return name.split(".", 1)[0]


def _order(instance: str) -> tuple[bool, str, int]:
    name, _, number = instance.rpartition("-")
    return (instance != "runner", name, int(number)) if number.isdecimal() else (instance != "runner", instance, -1)


def instances(storage: Storage, folder: str) -> list[str]:
    """The instances that have logged, the runner first, then workers by their numbers."""
    found = {_instance(name) for name in storage.children(folder) if name.endswith(".log")}
    return sorted(found, key=_order)


def read_log(storage: Storage, folder: str, instance: str) -> str:
    """All that an instance has logged; empty when there is nothing."""
    names = [name for name in storage.children(folder) if name.endswith(".log") and _instance(name) == instance]
    return b"".join(storage.read_bytes(join(folder, name)) for name in sorted(names)).decode(errors="replace")
