"""What the comparisons of chats share: their command line, their tables, and ratios of rates."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence

from benchmarks.contestants.registry import CONTESTANTS
from benchmarks.harness.compare import Result, compare
from benchmarks.harness.report import arguments, table

__all__ = ["chosen", "compared", "finish", "options_of", "over", "tables"]


def options_of(description: str) -> argparse.ArgumentParser:
    """Options of all of them."""
    parser = arguments(description)
    parser.set_defaults(limit=900.0)
    parser.add_argument("--phases", action="store_true", help="print where each contestant's time went")
    return parser


def chosen(options: argparse.Namespace, contestants: Sequence[str]) -> Sequence[str]:
    """The contestants that run."""
    names = options.only or contestants
    unknown = set(names) - set(CONTESTANTS)
    if unknown:
        sys.exit(f"--only: not known: {', '.join(sorted(unknown))}; choose from {', '.join(CONTESTANTS)}")
    return names


def compared(
    workload: str, contestants: Sequence[str], options: argparse.Namespace, *, rows: int | None = None
) -> dict[str, Result]:
    """Run them in turn, and print tables."""
    results = compare(
        workload,
        chosen(options, contestants),
        rows=rows if options.rows is None else options.rows,
        repeat=options.repeat,
        limit=options.limit,
    )
    print(tables(results, phases=options.phases), flush=True)
    return results


def tables(results: Mapping[str, Result], *, phases: bool) -> str:
    """Whole walls and memory; below, what contestants tell of themselves."""
    blocks = [table(dict(results)), _grid({name: result.numbers for name, result in results.items()}, digits=3)]
    if phases:
        blocks += [
            f"{name}: " + ", ".join(f"{phase} {seconds:.2f} s" for phase, seconds in result.phases.items())
            for name, result in results.items()
            if result.phases
        ]
    return "\n".join(blocks)


def _grid(numbers: Mapping[str, Mapping[str, float]], *, digits: int) -> str:
    heads = list(dict.fromkeys(head for row in numbers.values() for head in row))
    lines = [f"{'':28}" + "".join(f"{head:>19}" for head in heads)]
    for name, row in numbers.items():
        cells = [f"{row[head]:,.{digits if row[head] < 10 else 1}f}" if head in row else "-" for head in heads]
        lines.append(f"{name:28}" + "".join(f"{cell:>19}" for cell in cells))
    return "\n".join(lines)


def over(results: Mapping[str, Result], one: str, other: str, of: str = "rate") -> float | None:
    """A contestant's number over another's; `seconds` for whole walls."""
    found = []
    for name in (one, other):
        result = results.get(name)
        value = None if result is None else result.seconds if of == "seconds" else result.numbers.get(of)
        if not value:
            return None
        found.append(value)
    return round(found[0] / found[1], 3)


def finish(name: str, allowed: Mapping[str, tuple[float | None, float]], results: Mapping[str, Result]) -> None:
    """Print ratios and the JSON object, and end with code 1 if a contestant failed.

    Args:
        name: the benchmark's.
        allowed: by name a ratio and what it should be: at least that where it is below 1 or its name says
            `times_faster`, at most that otherwise. `ratio` is the worst of them, 1 or less is met.
        results: by contestant.
    """
    worst = []
    for key, (value, limit) in allowed.items():
        if value is not None:
            is_least = limit < 1 or "times_faster" in key
            worst.append(limit / value if is_least else value / limit)
            print(f"{key}: {value} ({'at least' if is_least else 'at most'} {limit})")
    report = {
        "benchmark": name,
        "ratio": round(max(worst), 3) if worst else None,
        **{key: value for key, (value, _) in allowed.items()},
        "contestants": {key: result.as_json() for key, result in results.items()},
    }
    print(json.dumps(report), flush=True)
    sys.exit(any(result.error for result in results.values()))
