"""A scikit-learn model as a function of SQL: 10 M rows of eight doubles; beside predict over the same Arrow batches."""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROWS = 10_000_000
VECTOR = 2_048
"""Rows that DuckDB gives to a function at a time: the batches of the loop by hand."""
LARGE = 65_536
SINGLE = 2_000
"""Rows for the function that is called row by row; more would take minutes."""
NAMES = [f"x{place}" for place in range(8)]
RATIO = 0.8
"""What is allowed: our rate over that of the loop, at least."""


def fitted(path: Path) -> Any:
    """A logistic regression, saved and as it is."""
    import joblib
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    rows = pd.DataFrame(np.random.default_rng(7).random((20_000, len(NAMES))), columns=NAMES)
    model = LogisticRegression().fit(rows, rows.sum(axis=1) > len(NAMES) / 2)
    joblib.dump(model, path)
    return model


def by_hand(con: Any, model: Any, size: int) -> int:
    """Predict over Arrow batches in a loop, as one would write it: how many rows are positive."""
    import numpy as np

    found = 0
    for batch in con.sql(f"SELECT {', '.join(NAMES)} FROM rows").to_arrow_reader(size):
        matrix = np.empty((len(NAMES), batch.num_rows))
        for target, column in zip(matrix, batch.columns, strict=True):
            target[:] = column.to_numpy(zero_copy_only=False)
        found += int(model.predict(matrix.T).sum())
    return found


def main() -> int:
    """Run all in turns, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, help="DuckDB's; its own default when not given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["GRISTMILL_HOME"] = home
        return _compare(Path(home), options.rows, options.repeat, options.threads)


def _compare(home: Path, rows: int, repeat: int, threads: int | None) -> int:
    import warnings

    import numpy as np

    import gristmill
    import gristmill.sql

    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    model = fitted(home / "model.joblib")
    con = gristmill.sql.connect(models={"positive": str(home / "model.joblib")})
    if threads is not None:
        con.execute(f"SET threads = {threads}")
    con.execute(f"CREATE TABLE rows AS SELECT {', '.join(f'random() AS {name}' for name in NAMES)} FROM range({rows})")

    def single(a: float, b: float, c: float, d: float, e: float, f: float, g: float, h: float) -> int:
        return int(model.predict(np.array([[a, b, c, d, e, f, g, h]]))[0])

    con.create_function("single", single, ["DOUBLE"] * len(NAMES), "INTEGER")
    arguments = ", ".join(NAMES)

    def asked(query: str) -> int:
        return int(con.sql(query).fetchall()[0][0])

    def by_relation() -> int:
        found = gristmill.run(str(home / "model.joblib"), con.table("rows"))
        return int(found.aggregate("sum(output_feature_0::INT)").fetchall()[0][0])

    turns = {
        "loop": lambda: by_hand(con, model, VECTOR),
        "loop_large": lambda: by_hand(con, model, LARGE),
        "sql": lambda: asked(f"SELECT sum(positive({arguments})::INT) FROM rows"),
        "run": by_relation,
    }
    seconds: dict[str, list[float]] = {name: [] for name in (*turns, "row_by_row")}
    for _ in range(repeat):
        found = {}
        for name, turn in turns.items():
            began = time.perf_counter()
            found[name] = turn()
            seconds[name].append(time.perf_counter() - began)
        if len(set(found.values())) > 1:
            print(f"they disagree: {found}")
            return 1
        began = time.perf_counter()
        asked(f"SELECT sum(single({arguments})) FROM (SELECT * FROM rows LIMIT {SINGLE})")
        seconds["row_by_row"].append(time.perf_counter() - began)
    counts = dict.fromkeys(turns, rows) | {"row_by_row": min(rows, SINGLE)}
    rates = {name: counts[name] / statistics.median(times) for name, times in seconds.items()}
    labels = {
        "loop": f"predict over Arrow batches of {VECTOR:,} rows, in a loop",
        "loop_large": f"the same with batches of {LARGE:,}, which SQL never gives",
        "sql": "SELECT sum(positive(…))",
        "run": "gristmill.run over the table, whose result is a relation",
        "row_by_row": "a function of DuckDB that is called row by row",
    }
    for name, label in labels.items():
        times = ", ".join(f"{one:.2f}" for one in seconds[name])
        print(f"{label:56} {rates[name]:12,.0f} rows/s   ({times} s)")
    ratio = rates["sql"] / rates["loop"]
    print(f"ratio: {ratio:.3f} (at least {RATIO}); {rates['sql'] / rates['row_by_row']:,.0f} times row by row")
    print(json.dumps({"benchmark": "sql", "rows": rows, "ratio": round(ratio, 3), "rates": rates}), flush=True)
    return 0 if ratio >= RATIO else 1


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    sys.exit(main())
