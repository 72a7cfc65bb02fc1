"""Prefix: 2,000 chats of 200 long beginnings with a cache for half of them, grouped and in the order of arrival."""

import sys
from pathlib import Path

CONTESTANTS = ("bare", "bare_sorted", "gristmill_chat", "gristmill_chat_arrival")


def main() -> None:
    """Run them in turn, and print the report."""
    from benchmarks.harness.chats import compared, finish, options_of, over

    parser = options_of("The benchmark prefix.")
    parser.add_argument("--shuffled", action="store_true", help="rows in any order, not one of each beginning in turn")
    options = parser.parse_args()
    results = compared("prefix_shuffled" if options.shuffled else "prefix", CONTESTANTS, options)
    allowed = {
        "times_faster_than_arrival": (over(results, "gristmill_chat", "gristmill_chat_arrival"), 2.4),
        "times_faster_than_bare": (over(results, "gristmill_chat", "bare"), 2.4),
        "rate_of_sorted": (over(results, "gristmill_chat", "bare_sorted"), 0.9),
    }
    finish("prefix", allowed, results)


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    main()
