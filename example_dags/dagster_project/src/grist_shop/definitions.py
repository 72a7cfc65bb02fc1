"""A `dg` project: all that stands under `defs`. The asset `gross` is given by `defs/gross/defs.yaml`.

In this project's folder, after `pip install -e .` (with a Gristmill that is installed from its checkout) and
`pip install dagster-dg-cli dagster-webserver`:

    dg check defs
    dg launch --assets orders,gross,totals --partition 2026-01-02
    dg dev

In the browser, launch a backfill of `orders`, and then of `gross`: one run computes all days, each with a job of its
own. `dg scaffold defs dagster_gristmill.BatchInferenceComponent <name>` adds another asset.

Everything stands under `gristmill-examples` in your home folder, or where the variable GRISTMILL_EXAMPLES of the
environment says.
"""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """All that stands under `defs`."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
