import pytest

from gristmill.errors import ModelError
from gristmill.models.registered import RegisteredReference, parse_registered


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("models:/churn", RegisteredReference("churn")),
        ("models:/churn/3", RegisteredReference("churn", version="3")),
        ("models:/churn/v1.2", RegisteredReference("churn", version="v1.2")),
        ("models:/churn@champion", RegisteredReference("churn", alias="champion")),
        ("models:/größe & co/1", RegisteredReference("größe & co", version="1")),
    ],
)
def test_a_reference_is_its_parts(text: str, parts: RegisteredReference) -> None:
    assert parse_registered(text) == parts
    assert str(parts) == text


def test_a_number_is_one_of_digits() -> None:
    assert parse_registered("models:/m/12").number == 12
    assert parse_registered("models:/m/v12").number is None
    assert parse_registered("models:/m/٣").number is None
    assert parse_registered("models:/m").number is None


@pytest.mark.parametrize("text", ["models:churn", "models:/", "models:/a/b/c", "models:/a@b@c", "models:/a/1@b"])
def test_what_is_none_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ModelError, match="write models:/name/3"):
        parse_registered(text)


def test_a_logged_model_that_is_not_registered_is_told_apart() -> None:
    with pytest.raises(ModelError, match="not registered; register it"):
        parse_registered("models:/m-" + "0f" * 16)
