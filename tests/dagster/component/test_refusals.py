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
        ("input_location:", "deps: orders\n    input_location:", "deps: give a list of keys, such as [orders]", 6),
        ("input_location:", "deps: [a//b]\n    input_location:", "deps: is no asset's key", 6),
        ("input_location:", "input_asset: ''\n    input_location:", "input_asset: is no asset's key", 6),
        ("input_location:", "input_format: xml\n    input_location:", "input_format: 'xml' is not known", 4),
        ("input_location:", "inference_engine_options: {token: x}\n    input_location:", "options.token: a secret", 4),
        ("input_location:", "retry_policy: {max_retries: -1}\n    input_location:", "retry_policy.max_retries", 6),
        ("input_location:", "retry_policy: {delay: -1}\n    input_location:", "retry_policy.delay", 6),
        ("start_date: 2026-01-01", "start_date: 2026-01-01, hour_offset: late", "hour_offset", 8),
        ("{type: daily, start_date: 2026-01-01}", "{type: static, partition_keys: eu}", "be a valid list", 8),
        ("{type: daily, start_date: 2026-01-01}", "{type: static, partition_keys: [eu, eu]}", "unique", 8),
        (
            "{type: daily, start_date: 2026-01-01}",
            "{type: multi, dimensions: {region: {type: static, partition_keys: eu}}}",
            "dimensions.region.static.partition_keys",
            8,
        ),
        (
            "input_location:",
            "backfill_policy: {type: multi_run, max_partitions_per_run: 0}\n    input_location:",
            "greater than or equal to 1",
            6,
        ),
    ],
)
def test_what_is_wrong_is_refused_by_name_with_its_line(was: str, becomes: str, said: str, line: int) -> None:
    text = MINIMAL.replace("PARTITIONS", "{type: daily, start_date: 2026-01-01}")
    assert was in text
    told = refused(text.replace(was, becomes))
    assert said in told
    assert f"defs.yaml:{line + 1}" in told  # the file begins with two lines more, and the text with an empty one


def test_a_text_that_a_template_gives_is_no_list_of_keys_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAM", "orders")
    text = MINIMAL.replace("PARTITIONS", "{type: static, partition_keys: [eu]}")
    told = refused(text.replace("input_location:", "deps: '{{ env.UPSTREAM }}'\n    input_location:"))
    assert "deps: give a list of keys, such as [orders]" in told
    assert "assets.0.deps" in told


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("automation_condition: eager", "an instance of AutomationCondition"),
        ("freshness_policy: daily", "freshness_policy"),
        ("owners: ann@shop.example", "owners"),
    ],
)
def test_a_value_of_the_wrong_type_is_placed_at_its_own_asset(given: str, said: str) -> None:
    text = MINIMAL.replace("PARTITIONS", "{type: static, partition_keys: [eu]}")
    second = text.partition("assets:\n")[2].replace("key: gross", f"key: net\n    {given}")
    told = refused(text + second)
    assert said in told
    assert "defs.yaml:10 - attributes.assets.1" in told
