"""Start: 100 rows, so that nothing but starting and stopping counts; ours on Ray too."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from benchmarks.harness.report import main

    main("start", "tables", rows=100, more=("gristmill_ray",))
