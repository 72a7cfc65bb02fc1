"""The loop by hand for chats: asyncio, one aiohttp session, a semaphore, one Parquet file at the end."""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.workloads.service import ServiceWorkload

__all__ = ["Chats", "worker"]


class Chats:
    """Sends conversations to the service, so many at once; in one event loop.

    Args:
        workload: tells the model, and how many at once.
    """

    def __init__(self, workload: ServiceWorkload) -> None:
        self._workload = workload
        self._url = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"
        self._slots = asyncio.Semaphore(workload.in_flight)
        self._session: Any = None

    async def chat(self, text: str) -> str:
        """The answer to one."""
        if self._session is None:
            import aiohttp

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._workload.in_flight),
                headers={"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"},
            )
        body = {"model": self._workload.model, "messages": json.loads(text), "max_completion_tokens": 32}
        async with self._slots, self._session.post(self._url, json=body) as response:
            response.raise_for_status()
            reply: Any = await response.json()
        return str(reply["choices"][0]["message"]["content"])

    async def all(self, texts: Sequence[str]) -> list[str]:
        """The answers to several, in their order."""
        return list(await asyncio.gather(*map(self.chat, texts)))

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


def worker(workload: ServiceWorkload) -> Callable[[Sequence[tuple[Path, int]], Path], None]:
    """A function that sends row groups to the service and writes them with the answers."""
    import aiohttp  # noqa: F401 - before the clock of the steady rate
    import pyarrow as pa
    import pyarrow.parquet as pq

    async def run(texts: Sequence[str]) -> list[str]:
        chats = Chats(workload)
        answers = await chats.all(texts)
        await chats.close()
        return answers

    def work(groups: Sequence[tuple[Path, int]], path: Path) -> None:
        table = pa.concat_tables([pq.ParquetFile(file).read_row_group(number) for file, number in groups])
        answers = asyncio.run(run(table["messages"].to_pylist()))
        pq.write_table(table.append_column("response", pa.array(answers)), path)

    return work
