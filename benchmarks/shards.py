"""Shards: the same 2,000 chats in one file and in fifty."""

import sys
from pathlib import Path

CONTESTANTS = ("bare", "gristmill_chat", "gristmill_chat_50")


def main() -> None:
    """Run them in turn, and print the report."""
    from benchmarks.harness.chats import compared, finish, options_of, over

    options = options_of("The benchmark shards.").parse_args()
    results = compared("chat", CONTESTANTS, options)
    allowed = {
        "rate": (over(results, "gristmill_chat_50", "gristmill_chat"), 0.95),
        "wall": (over(results, "gristmill_chat_50", "gristmill_chat", "seconds"), 1.05),
    }
    finish("shards", allowed, results)


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    main()
