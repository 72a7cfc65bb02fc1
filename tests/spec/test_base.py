import traceback

import pytest

from gristmill.errors import SpecError
from gristmill.settings import Settings
from gristmill.spec.job import JobSpec


def test_a_spec_cannot_be_changed() -> None:
    spec = JobSpec(replicas=2)
    with pytest.raises(ValueError, match="frozen"):
        spec.replicas = 3  # type: ignore[misc]


def test_an_error_names_each_wrong_field_with_its_value() -> None:
    with pytest.raises(SpecError) as caught:
        JobSpec(replicas=0, num_workers=-1)
    assert "JobSpec.replicas" in str(caught.value)
    assert "(given: 0)" in str(caught.value)
    assert "JobSpec.num_workers" in str(caught.value)
    assert "(given: -1)" in str(caught.value)


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(SpecError, match=r"JobSpec\.replica: is not a field of it"):
        JobSpec(replica=2)


@pytest.mark.parametrize("given", [{"a": "sk-lost"}, {"a": ["sk-lost"]}, "sk-lost", {"a": {"apikey": "sk-lost"}}])
def test_a_whole_endpoint_in_the_wrong_form_may_be_its_key_and_is_not_repeated(given: object) -> None:
    with pytest.raises(SpecError, match=r"settings\.endpoints") as caught:
        Settings.load(endpoints=given)
    assert "sk-lost" not in "".join(traceback.format_exception(caught.value))
