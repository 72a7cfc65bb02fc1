import pytest

from gristmill import errors
from gristmill.cli.exits import code_of


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SpecError, 2),
        (errors.LocationError, 2),
        (errors.ModelError, 2),
        (errors.AccessError, 2),
        (errors.EmptyInputError, 2),
        (errors.OutputExistsError, 2),
        (errors.JobNotFoundError, 2),
        (errors.JobStateError, 2),
        (errors.MissingExtraError, 2),
        (errors.OutputError, 1),
        (errors.ConflictError, 1),
        (errors.PlacementError, 1),
        (OSError, 1),
    ],
)
def test_a_request_at_fault_is_two_and_the_world_at_fault_is_one(error: type[Exception], code: int) -> None:
    assert code_of(error("x")) == code
