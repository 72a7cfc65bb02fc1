"""What is wrong in a `defs.yaml` is refused with its name and the place where it stands."""

import pytest
from tests.dagster.projects import MINIMAL, refused


@pytest.mark.parametrize(
    ("was", "becomes", "said", "line"),
    [
        ("model:", "modle:", "assets.0.modle", 5),
        ("mode: overwrite", "mdoe: overwrite", "assets.0.output_spec.mdoe", 7),
        ("type: daily", "type: dayly", "'dayly'", 8),
        ("start_date: 2026-01-01", "start_date: yesterday", "'yesterday' does not match", 8),
        ("mode: overwrite", "mode: replace", "'replace'", 7),
        ("gross/{partition}", "gross/{region}", "nothing fills", 4),
        ("gross/{partition}", "gross/all", "the same for several partitions", 4),
        ("input_location: lake/orders/{partition}", "description: no input", "give exactly one of", 4),
        ("input_location:", "job_spec: {replicas: 0}\n    input_location:", "JobSpec.replicas", 6),
        ("input_location:", "job_spec: {memory_requests: 8parsecs}\n    input_location:", "8parsecs", 6),
        ("input_location:", "checks: {max_error_rate: 2}\n    input_location:", "OutputChecks.max_error_rate", 6),
        ("input_location:", "checks: {fresh_within: later}\n    input_location:", "OutputChecks.fresh_within", 6),
        ("input_location:", "poll_interval: 0\n    input_location:", "poll_interval", 4),
        ("input_location:", "retry_policy: {jitter: full}\n    input_location:", "jitter", 6),
        ("input_location:", "input_location: '{{ env.LAKE ~ nothing.there }}'\n    code_version:", "nothing", 6),
    ],
)
def test_what_is_wrong_is_refused_by_name_with_its_line(was: str, becomes: str, said: str, line: int) -> None:
    text = MINIMAL.replace("PARTITIONS", "{type: daily, start_date: 2026-01-01}")
    assert was in text
    told = refused(text.replace(was, becomes))
    assert said in told
    assert f"defs.yaml:{line + 1}" in told  # the file begins with two lines more, and the text with an empty one
