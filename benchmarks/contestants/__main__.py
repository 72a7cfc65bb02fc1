"""Run one contestant in this process: `python -m benchmarks.contestants NAME ARGUMENTS`."""

import importlib
import json
import sys
from pathlib import Path

from benchmarks.contestants.registry import CONTESTANTS
from benchmarks.workloads import WORKLOADS

if __name__ == "__main__":
    arguments = json.loads(sys.argv[2])
    module, options = CONTESTANTS[sys.argv[1]]
    workload = WORKLOADS[arguments["workload"]]
    run = importlib.import_module(f"benchmarks.contestants.{module}").run
    run(workload, workload.dataset(arguments["rows"]), Path(arguments["output"]), **options)
