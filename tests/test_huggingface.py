from pathlib import Path

import pytest

from gristmill import huggingface
from gristmill.errors import SpecError


def test_a_folder_or_a_name() -> None:
    assert huggingface.TransformersPipeline(model=Path("/models/m")).model == "/models/m"
    assert huggingface.TransformersPipeline(model="org/name", task=" fill-mask ").task == "fill-mask"


@pytest.mark.parametrize(("field", "value"), [("model", ""), ("model", None), ("model", 3), ("task", ""), ("task", 3)])
def test_what_names_nothing_is_refused(field: str, value: object) -> None:
    with pytest.raises(SpecError, match=f"TransformersPipeline.{field}: must be text"):
        huggingface.TransformersPipeline(**{"model": "org/name", field: value})  # type: ignore[arg-type]
