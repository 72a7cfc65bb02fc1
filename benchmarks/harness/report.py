"""The command line that every comparison shares, and its last line: one JSON object."""

import argparse
import json
import sys
from collections.abc import Sequence

from benchmarks.contestants.registry import CONTESTANTS
from benchmarks.harness.compare import Result, compare

__all__ = ["STANDARD", "arguments", "last_line", "limit_of", "main", "table"]

STANDARD = ("raw1", "raw2", "gristmill", "gristmill2", "daft", "ray_data")
OURS = ("gristmill", "gristmill2")
RAW = ("raw1", "raw2")
SLOWER = 1.15
LATER = 1.5
"""What we allow ourselves: 1.15 times the better raw loop, and 1.5 seconds."""


def arguments(description: str) -> argparse.ArgumentParser:
    """Options of all benchmarks."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rows", type=int, help="rows of the input; the full size when not given")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each contestant; medians count")
    parser.add_argument("--only", type=lambda text: text.split(","), help="contestants, with commas between")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds one run may take")
    return parser


def main(
    name: str,
    workload: str | None = None,
    *,
    rows: int | None = None,
    contestants: Sequence[str] = STANDARD,
    more: Sequence[str] = (),
) -> None:
    """Run a comparison and print its report.

    Args:
        name: the benchmark's name.
        workload: its workload, if that has another name.
        rows: its size, if not the workload's.
        contestants: those that run.
        more: contestants besides.
    """
    options = arguments(f"The benchmark {name}.").parse_args()
    chosen = options.only or [*contestants, *more]
    unknown = set(chosen) - set(CONTESTANTS)
    if unknown:
        sys.exit(f"--only: not known: {', '.join(sorted(unknown))}; choose from {', '.join(CONTESTANTS)}")
    results = compare(
        workload or name,
        chosen,
        rows=rows if options.rows is None else options.rows,
        repeat=options.repeat,
        limit=options.limit,
    )
    print(table(results))
    last_line(name, _ratios(results), results)


def limit_of(results: dict[str, Result]) -> float | None:
    """Seconds ours may take; None without a raw loop's result."""
    raw = _best(results, RAW)
    return None if raw is None else SLOWER * raw + LATER


def _best(results: dict[str, Result], names: Sequence[str]) -> float | None:
    return min((results[name].seconds for name in names if name in results and results[name].seconds), default=None)


def _ratios(results: dict[str, Result]) -> dict[str, float | None]:
    """Ours against each; 1 or less is met for `ratio`, 0.9 or more for the steady ones."""
    ours, on_ray = _best(results, OURS), _best(results, ("gristmill_ray", "gristmill_ray2"))

    def of_rate(one: str, other: str) -> float | None:
        pair = [results[name].rate for name in (one, other) if name in results]
        return None if len(pair) < 2 or not all(pair) else _over(*pair)

    return {
        "ratio": _over(ours, limit_of(results)),
        "ours_over_raw": _over(ours, _best(results, RAW)),
        "ours_over_daft": _over(ours, _best(results, ("daft",))),
        "ours_over_ray_data": _over(ours, _best(results, ("ray_data",))),
        "ours_on_ray_over_ray_data": _over(on_ray, _best(results, ("ray_data",))),
        "steady_1": of_rate("gristmill", "raw1"),
        "steady_2": of_rate("gristmill2", "raw2"),
    }


def _over(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else round(one / other, 3)


def table(results: dict[str, Result]) -> str:
    """The results for people."""
    heads = ("contestant", "whole wall", "steady rows/s", "peak, all", "once", "largest", "processes")
    lines = ["{:26} {:>11} {:>15} {:>11} {:>11} {:>10} {:>10}".format(*heads)]
    for name, result in results.items():
        if result.seconds is None:
            lines.append(f"{name:26} failed: {(result.error or '').splitlines()[-1]}")
            continue
        rate = f"{result.rate:,.0f}" if result.rate else "-"
        lines.append(
            f"{name:26} {result.seconds:9.2f} s {rate:>15} {result.peak_tree / 1e6:8,.0f} MB"
            f" {result.peak_once / 1e6:8,.0f} MB {result.peak_process / 1e6:7,.0f} MB {result.processes:>10}"
        )
    return "\n".join(lines)


def last_line(name: str, ratios: dict[str, float | None], results: dict[str, Result]) -> None:
    """Print the JSON object, and end with code 1 if a contestant failed."""
    for key, value in ratios.items():
        if value is not None:
            print(f"{key}: {value}")
    report = {"benchmark": name, **ratios, "contestants": {key: result.as_json() for key, result in results.items()}}
    print(json.dumps(report), flush=True)
    sys.exit(any(result.error for result in results.values()))
