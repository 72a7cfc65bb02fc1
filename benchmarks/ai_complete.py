"""`ai_complete` over a table: 4,000 rows, 256 in flight, each answer 100 ms away; beside plain asyncio with the same window."""  # noqa: E501

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROWS = 4_000
WINDOW = 256
SECONDS = 0.1
MODEL = "bench"
RATIO = 0.85
"""What is allowed: our rate over that of plain asyncio, at least."""


def prompts(count: int, turn: int) -> list[str]:
    """Other ones each time, for nobody to remember an answer."""
    text = "Order {} of customer {}: which of our offers fits it best, and why? Answer in one sentence, with its name."
    return [text.format(number + turn * count, number * 7919 % 10_007) for number in range(count)]


async def plain(url: str, texts: list[str]) -> list[str]:
    """A loop by hand: one session, a semaphore."""
    import aiohttp

    slots = asyncio.Semaphore(WINDOW)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=WINDOW)) as session:

        async def ask(text: str) -> str:
            body = {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_completion_tokens": 32}
            async with slots, session.post(f"{url}/v1/chat/completions", json=body) as response:
                response.raise_for_status()
                reply: Any = await response.json()
            return str(reply["choices"][0]["message"]["content"])

        return list(await asyncio.gather(*map(ask, texts)))


def connection(url: str) -> Any:
    """DuckDB with `ai_complete`, warm: what is imported and opened once is."""
    import gristmill.sql
    from gristmill.settings import Settings

    endpoint = {"base_url": f"{url}/v1", "window": WINDOW}
    con = gristmill.sql.connect(settings=Settings.load(endpoints={"bench": endpoint}), models=())
    con.execute(f"SELECT ai_complete('bench/{MODEL}', 'Hello')").fetchall()
    return con


def ours(con: Any, texts: list[str]) -> tuple[float, list[str]]:
    """One query over a table that stands there already: its seconds, and the answers."""
    import pyarrow as pa

    con.register("given", pa.table({"id": range(len(texts)), "prompt": texts}))
    con.execute("CREATE OR REPLACE TABLE prompts AS SELECT * FROM given")
    query = f"SELECT ai_complete('bench/{MODEL}', prompt, {{'max_tokens': 32}}) AS reply FROM prompts ORDER BY id"
    began = time.perf_counter()
    replies = con.sql(query).to_arrow_table().column(0).to_pylist()
    return time.perf_counter() - began, replies


def main() -> int:
    """Run both in turns and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    command = [sys.executable, "-m", "benchmarks.openai_server", str(SECONDS)]
    with tempfile.TemporaryDirectory() as home, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            return _compare(url, home, options.rows, options.repeat)
        finally:
            server.kill()


def _compare(url: str, home: str, rows: int, repeat: int) -> int:
    os.environ["GRISTMILL_HOME"] = home
    con = connection(url)
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    for turn in range(repeat):
        texts = prompts(rows, turn)
        began = time.perf_counter()
        expected = asyncio.run(plain(url, texts))
        seconds["plain"].append(time.perf_counter() - began)
        took, replies = ours(con, texts)
        seconds["ours"].append(took)
        if replies != expected:
            print("ai_complete answers other than the loop by hand")
            return 1
    rates = {name: rows / statistics.median(times) for name, times in seconds.items()}
    ratio = rates["ours"] / rates["plain"]
    for name, label in (("plain", "plain asyncio"), ("ours", "ai_complete")):
        times = ", ".join(f"{one:.2f}" for one in seconds[name])
        print(f"{label:14} {rates[name]:8,.0f} rows/s   ({times} s)")
    print(f"ratio: {ratio:.3f} (at least {RATIO})")
    print(json.dumps({"benchmark": "ai_complete", "rows": rows, "ratio": round(ratio, 3), "rates": rates}), flush=True)
    return 0 if ratio >= RATIO else 1


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    sys.exit(main())
