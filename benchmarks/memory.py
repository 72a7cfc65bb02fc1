"""Memory: the peak of all processes for 1 M and 10 M rows of `tables`, and how much it grows."""

import sys
from pathlib import Path

ROWS = (1_000_000, 10_000_000)
GROWTH = 1.1
BYTES = 600_000_000
"""What is allowed: growth from the smaller to the larger input, and the peak."""


def main() -> None:
    """Run both sizes, and print the report."""
    from benchmarks.harness.compare import Result, compare
    from benchmarks.harness.report import STANDARD, arguments, last_line, table

    parser = arguments("The benchmark memory; --rows is the larger input, ten times the smaller.")
    parser.set_defaults(repeat=2)
    options = parser.parse_args()
    sizes = ROWS if options.rows is None else (options.rows // 10, options.rows)
    contestants = options.only or STANDARD
    results: dict[str, Result] = {}
    growth: dict[str, float] = {}
    both = [compare("tables", contestants, rows=rows, repeat=options.repeat, limit=options.limit) for rows in sizes]
    for name in contestants:
        small, large = both[0][name], both[1][name]
        results[f"{name}_small"], results[name] = small, large
        if small.peak_tree and large.peak_tree:
            growth[name] = large.peak_tree / small.peak_tree
    print(table(results))
    ours = [name for name in ("gristmill", "gristmill2") if name in growth]
    worst = max((max(growth[name] / GROWTH, results[name].peak_tree / BYTES) for name in ours), default=None)
    ratios = {"ratio": worst, **{f"growth_{name}": value for name, value in growth.items()}}
    last_line("memory", {key: value and round(value, 3) for key, value in ratios.items()}, results)


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    main()
