"""Run every benchmark, each in a process of its own: `python -m benchmarks [NAME ...] [OPTIONS]`."""

import subprocess
import sys

NAMES = (
    "tables", "heavy", "media", "media_s3", "large", "start", "openai", "ai_complete", "chat", "shards", "prefix",
    "images", "plan", "triggers", "backfill", "memory", "sql", "run",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Run those named, or all; options go to each."""
    names = [argument for argument in arguments if argument in NAMES] or list(NAMES)
    options = [argument for argument in arguments if argument not in NAMES]
    lines, code = [], 0
    for name in names:
        command = [sys.executable, "-m", f"benchmarks.{name}", *options]
        last = ""
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                print(line, end="", flush=True)
                last = line
        code = code or process.returncode
        lines.append(last)
    print("", *lines, sep="\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
