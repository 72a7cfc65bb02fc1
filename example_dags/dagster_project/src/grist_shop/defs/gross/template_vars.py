"""What `defs.yaml` may name in double braces."""

import dagster as dg

from grist_shop.lake import LAKE


@dg.template_var
def lake() -> str:
    """Where the shop's data stands."""
    return LAKE
