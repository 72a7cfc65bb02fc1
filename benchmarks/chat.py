"""Chat: 2,000 and 6,000 short chats on vLLM in this machine's CPUs, 32 tokens each."""

import sys
from pathlib import Path

ROWS = (2_000, 6_000)
CONTESTANTS = ("bare", "gristmill_chat", "ray_llm", "run_batch")


def main() -> None:
    """Run both sizes, or the one that is given, and print the report."""
    from benchmarks.harness.chats import compared, finish, options_of, over
    from benchmarks.harness.compare import Result

    options = options_of("The benchmark chat.").parse_args()
    allowed: dict[str, tuple[float | None, float]] = {}
    results: dict[str, Result] = {}
    for rows in (options.rows,) if options.rows else ROWS:
        found = compared("chat", CONTESTANTS, options, rows=rows)
        allowed |= {
            f"rate_{rows}": (over(found, "gristmill_chat", "bare"), 0.95),
            f"wall_until_done_{rows}": (over(found, "gristmill_chat", "bare", "seconds_until_done"), 1.15),
            f"wall_{rows}": (over(found, "gristmill_chat", "bare", "seconds"), 1.15),
            f"times_faster_than_ray_llm_{rows}": (over(found, "ray_llm", "gristmill_chat", "seconds"), 3.0),
        }
        results |= {f"{name}_{rows}": result for name, result in found.items()}
    finish("chat", allowed, results)


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    main()
