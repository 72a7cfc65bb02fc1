"""Large: 300 files of 8 MB, a digest of each."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from benchmarks.harness.report import main

    main("large")
