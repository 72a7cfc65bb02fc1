"""One GPU: Qwen3 in a real size with random weights, output tokens a second beside `LLM.chat`, in both engine modes.

`python -m benchmarks.vllm_gpu --size 0.6B,8B`; `--size tiny` runs on CPUs, and proves only the script.
"""

import sys
from pathlib import Path

CONTESTANTS = ("bare_own_process", "bare", "gristmill_chat_own_process", "gristmill_chat_in_process")


def main() -> None:
    """Run each size, and print the report."""
    from benchmarks.harness.chats import compared, finish, options_of, over
    from benchmarks.harness.compare import Result
    from benchmarks.workloads.sizes import SIZES

    parser = options_of("The benchmark vllm_gpu.")
    parser.add_argument(
        "--size", type=lambda text: text.split(","), default=["0.6B", "8B"],
        help=f"sizes, with commas between: {', '.join(SIZES)}",
    )  # fmt: skip
    options = parser.parse_args()
    if unknown := set(options.size) - set(SIZES):
        sys.exit(f"--size: not known: {', '.join(sorted(unknown))}; choose from {', '.join(SIZES)}")
    allowed: dict[str, tuple[float | None, float]] = {}
    results: dict[str, Result] = {}
    for size in options.size:
        found = compared(f"gpu_{size}", CONTESTANTS, options)
        for mode, bare in (("own_process", "bare_own_process"), ("in_process", "bare")):
            allowed[f"rate_{mode}_{size}"] = (over(found, f"gristmill_chat_{mode}", bare), 0.95)
        results |= {f"{name}_{size}": result for name, result in found.items()}
    finish("vllm_gpu", allowed, results)


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    main()
