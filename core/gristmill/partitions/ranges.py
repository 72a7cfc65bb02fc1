"""Ranges of keys whose rows fit in memory together."""

import itertools
from collections.abc import Sequence

import pyarrow as pa

from gristmill.partitions.keys import changes, sorted_order
from gristmill.partitions.runs import Cut, Run

__all__ = ["cuts_of"]


def cuts_of(runs: Sequence[Run], *, range_bytes: int, range_rows: int) -> list[tuple[Cut, bool]]:
    """Where to cut the sorted keys of all runs, in order; what comes after the last cut is a range too.

    The pieces of the runs are a sample of the keys: a range of pieces that hold `range_bytes` has about as many bytes.

    Returns:
        Cuts, and for each whether the rows before it, from the cut before, all have the same key, whose rows may be
        more than fit in memory.
    """
    ordinary = [run for run in runs if run.ordinary]
    if not ordinary:
        return []
    firsts = pa.concat_arrays([run.firsts for run in ordinary])
    weights = [
        max(run.bytes[at] / range_bytes, run.rows[at] / range_rows) for run in ordinary for at in range(run.ordinary)
    ]
    order = sorted_order(firsts)
    firsts = firsts.take(order)
    weights = [weights[place] for place in order.to_pylist()]
    bounds = [0, *changes(firsts), len(firsts)]
    cuts: list[tuple[Cut, bool]] = []
    filled = 0.0
    for start, stop in itertools.pairwise(bounds):
        weight = sum(weights[start:stop])
        if weight >= 1:  # a key that fills a range by itself
            cuts += [((firsts[start], False), False), ((firsts[start], True), True)]
            filled = 0.0
        elif filled + weight > 1:
            cuts.append(((firsts[start], False), False))
            filled = weight
        else:
            filled += weight
    return cuts
