"""Media over the S3 protocol, from a server on loopback."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from benchmarks.harness.report import main

    main("media_s3")
