"""`mv.run` on 100 rows of a registered model that is loaded: its seconds beyond those of the model itself."""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROWS = 100
CALLS = 50
SECONDS = 0.05
"""What is allowed: beyond the model's own time, for a call."""


def main() -> int:
    """Time both, call by call, and print the difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--repeat", type=int, default=CALLS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["GRISTMILL_HOME"] = home
        return _compare(Path(home), options.rows, options.repeat)


def _compare(home: Path, rows: int, repeat: int) -> int:
    import numpy as np
    import pandas as pd

    from benchmarks.sql import NAMES, fitted
    from gristmill import Registry

    os.environ["XDG_CACHE_HOME"] = str(home / "cache")
    model = fitted(home / "model.joblib")
    frame = pd.DataFrame(np.random.default_rng(8).random((rows, len(NAMES))), columns=NAMES)
    version = Registry().log_model(model, model_name="positive", sample_input_data=frame)
    began = time.perf_counter()
    found = version.run(frame, function_name="predict")
    first = time.perf_counter() - began
    if found["output_feature_0"].tolist() != model.predict(frame).tolist():
        print("run gives other than predict")
        return 1
    seconds: dict[str, list[float]] = {"model": [], "run": []}
    for _ in range(repeat):
        began = time.perf_counter()
        model.predict(frame)
        middle = time.perf_counter()
        version.run(frame, function_name="predict")
        seconds["run"].append(time.perf_counter() - middle)
        seconds["model"].append(middle - began)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    beyond = medians["run"] - medians["model"]
    print(f"first call, with loading  {first * 1e3:8.1f} ms")
    for name, label in (("model", "model.predict"), ("run", "mv.run")):
        print(f"{label:24}  {medians[name] * 1e3:8.1f} ms   (longest {max(seconds[name]) * 1e3:.1f})")
    print(f"ratio: {beyond / SECONDS:.3f} (at most 1): {beyond * 1e3:.1f} ms beyond the model's own time")
    report = {"benchmark": "run", "rows": rows, "ratio": round(beyond / SECONDS, 3), "seconds": medians}
    print(json.dumps(report), flush=True)
    return 0 if beyond <= SECONDS else 1


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    sys.exit(main())
