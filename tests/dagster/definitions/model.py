"""A model that fails for a reason that can be mended: a file that stands in its way."""

import os
import time
from pathlib import Path

import pyarrow as pa

from gristmill import inference_api


class Mendable:
    """Gives each id back; fails on one that has a file of its name in `refuse`, for as long as that is there."""

    @inference_api(inputs={"id": "int64"}, outputs={"echo": "int64"})
    def score(self, rows: pa.Table, *, folder: str = "", delay: float = 0.0) -> pa.Table:
        ids = rows["id"].to_pylist()
        calls = Path(folder, "calls")
        calls.mkdir(parents=True, exist_ok=True)
        with (calls / f"{os.getpid()}.log").open("a") as file:
            file.write("".join(f"{one}\n" for one in ids))
        time.sleep(delay)
        for one in ids:
            if Path(folder, "refuse", str(one)).exists():
                raise ValueError(f"{one} is refused")
        return pa.table({"echo": ids})
