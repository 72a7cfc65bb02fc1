"""Media: 20,000 small PNG files, decoded and classified."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from benchmarks.harness.report import main

    main("media")
