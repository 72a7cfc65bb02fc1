"""Chats with a service: 4,000 rows, 256 in flight, each answer 100 ms away."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from benchmarks.harness.report import main

    main("openai", contestants=("raw1", "gristmill", "daft", "ray_data"))
