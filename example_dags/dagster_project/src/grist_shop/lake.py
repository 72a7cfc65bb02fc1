"""Where the shop's data stands."""

import os
from pathlib import Path

LAKE = f"{os.environ.get('GRISTMILL_EXAMPLES') or Path.home() / 'gristmill-examples'}/dagster/shop"
