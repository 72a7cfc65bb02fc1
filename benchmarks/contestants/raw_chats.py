"""The loop by hand for chats: asyncio, one aiohttp session, a semaphore, one Parquet file at the end."""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.workloads.service import ServiceWorkload

__all__ = ["worker"]


def worker(workload: ServiceWorkload) -> Callable[[Sequence[tuple[Path, int]], Path], None]:
    """A function that sends row groups to the service and writes them with the answers."""
    import aiohttp
    import pyarrow as pa
    import pyarrow.parquet as pq

    url = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"
    headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}

    async def chats(texts: list[str]) -> list[str]:
        slots = asyncio.Semaphore(workload.in_flight)
        connector = aiohttp.TCPConnector(limit=workload.in_flight)
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

            async def chat(text: str) -> str:
                body = {"model": workload.model, "messages": json.loads(text), "max_completion_tokens": 32}
                async with slots, session.post(url, json=body) as response:
                    response.raise_for_status()
                    reply: Any = await response.json()
                return str(reply["choices"][0]["message"]["content"])

            return list(await asyncio.gather(*map(chat, texts)))

    def work(groups: Sequence[tuple[Path, int]], path: Path) -> None:
        table = pa.concat_tables([pq.ParquetFile(file).read_row_group(number) for file, number in groups])
        answers = asyncio.run(chats(table["messages"].to_pylist()))
        pq.write_table(table.append_column("response", pa.array(answers)), path)

    return work
