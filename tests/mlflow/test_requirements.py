"""What pip reads as one requirement, and what it does not."""

import pytest

from gristmill.errors import SpecError
from gristmill.mlflow.log import check_requirements


@pytest.mark.parametrize(
    "line",
    [
        "pillow>=11  # for images",
        "torch[cuda]>=2.4; python_version > '3.10'",
        "x @ https://host.lab/x-1.0.whl",
        "wheels/x",
        "~/x.py",
        "file:./x",
        "foo==${VERSION}",
        "foo -C key=value",
        "# a remark",
        "--extra-index-url https://host.lab/simple",
    ],
)
def test_what_pip_reads_is_taken_as_it_is(line: str) -> None:
    assert check_requirements([line]) == (line,)


@pytest.mark.parametrize("line", ["not a req ===", "pillow>=", "pillow torch", "==2"])
def test_what_pip_does_not_read_is_refused_by_name(line: str) -> None:
    with pytest.raises(SpecError, match=f"pip_requirements: '{line}' is nothing that pip reads"):
        check_requirements([line])
