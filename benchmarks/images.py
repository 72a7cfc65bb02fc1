"""Images: 1,000 chats with a small PNG each, ours by path through a stage, the bare script's ready as data URLs."""

import sys
from pathlib import Path

CONTESTANTS = ("bare", "gristmill_chat")


def main() -> None:
    """Run them in turn, and print the report."""
    from benchmarks.harness.chats import compared, finish, options_of, over

    options = options_of("The benchmark images.").parse_args()
    results = compared("images", CONTESTANTS, options)
    allowed = {
        "rate": (over(results, "gristmill_chat", "bare"), 0.9),
        "wall": (over(results, "gristmill_chat", "bare", "seconds"), 1.15),
    }
    finish("images", allowed, results)


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    main()
