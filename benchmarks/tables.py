"""Tables: 10 M rows of eight doubles and an id, logistic regression, all columns out."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from benchmarks.harness.report import main

    main("tables")
