"""Make tiny models: `python -m tests.tiny [NAME ...]`; all without names."""

import sys

from tests.tiny.models import MODELS, make

if __name__ == "__main__":
    for name in sys.argv[1:] or MODELS:
        sys.stdout.write(f"{make(name)}\n")
