"""The workloads by name."""

from benchmarks.workloads.chats import ChatWorkload, ImageChats, PrefixChats
from benchmarks.workloads.large import Large
from benchmarks.workloads.media import Media, MediaS3
from benchmarks.workloads.service import ServiceWorkload
from benchmarks.workloads.sizes import SIZES, SizedChats
from benchmarks.workloads.tables import Heavy, Tables
from benchmarks.workloads.workload import Workload

__all__ = ["WORKLOADS"]

WORKLOADS: dict[str, Workload] = {
    "chat": ChatWorkload(),
    "heavy": Heavy(),
    "images": ImageChats(),
    "large": Large(),
    "media": Media(),
    "media_s3": MediaS3(),
    "openai": ServiceWorkload(),
    "prefix": PrefixChats(),
    "prefix_shuffled": PrefixChats("prefix_shuffled", shuffled=True),
    "tables": Tables(),
    **{f"gpu_{size}": SizedChats(size) for size in SIZES},
}
