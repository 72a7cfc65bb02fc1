"""Records of services that cannot be read."""

from pathlib import Path

import pytest
from tests.services.conftest import Serve

import gristmill
from gristmill.errors import ConflictError
from gristmill.settings import Settings


@pytest.mark.parametrize(
    ("name", "text"), [("claim.json", '{"x"'), ("claim.json", "{}"), ("state.json", '{"status": 1}')]
)
def test_a_damaged_record_is_named_and_hides_no_other(serve: Serve, settings: Settings, name: str, text: str) -> None:
    serve("whole", block=False)
    start = Path(str(settings.home)) / "services" / "damaged" / "starts" / "000001"
    start.mkdir(parents=True)
    (start / "claim.json").write_bytes((start.parents[2] / "whole" / "starts" / "000001" / "claim.json").read_bytes())
    (start / name).write_text(text)
    assert [one["name"] for one in gristmill.list_services(settings=settings).collect()] == ["whole"]
    with pytest.raises(ConflictError, match=r"damaged/starts/000001' does not read as .*; where nothing of it runs"):
        _ = gristmill.get_service("damaged", settings=settings).status
