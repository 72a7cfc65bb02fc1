import datetime as dt
import json
import math

import pyarrow as pa
import pytest

from gristmill.errors import ModelError
from gristmill.models.signature import Bounds, Feature, Param, Signature
from gristmill.models.signature_text import signature_from_dict, signature_to_dict

SIGNATURES = {
    "open": Signature(),
    "empty": Signature(inputs=(), outputs=()),
    "columns": Signature(
        inputs=(Feature("größe", pa.float64()), Feature("any", pa.null())),
        outputs=(Feature("vector", pa.list_(pa.float32(), 3)), Feature("at", pa.timestamp("us", tz="UTC"))),
        kind="partitioned",
    ),
    "chat": Signature(is_chat=True, params=(Param("n", pa.int64(), 1, bounds=Bounds(1, math.inf, "the engine's")),)),
    "params": Signature(
        params=(
            Param("words", pa.list_(pa.string()), ["a", "ü"]),
            Param("salt", pa.binary(), b"\x00\xff"),
            Param("since", pa.timestamp("us"), dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)),
            Param("day", pa.date32(), dt.date(2026, 1, 2)),
            Param("least", pa.float64(), -math.inf),
            Param("how", pa.struct([]), {"deep": {"$bytes": "no"}, "list": [1, 2.5, None, True]}),
            Param("mode", pa.string(), None, nullable=True, choices=("fast", "good")),
        )
    ),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_comes_back_as_it_was(name: str) -> None:
    signature = SIGNATURES[name]
    written = json.loads(json.dumps(signature_to_dict(signature), allow_nan=False))
    assert signature_from_dict(written) == signature


def test_a_default_that_is_not_a_number_comes_back() -> None:
    signature = Signature(params=(Param("x", pa.float64(), math.nan),))
    back = signature_from_dict(json.loads(json.dumps(signature_to_dict(signature), allow_nan=False)))
    assert math.isnan(back.params[0].default)


def test_what_a_signature_does_not_say_is_not_written() -> None:
    assert signature_to_dict(Signature()) == {}


def test_a_default_that_cannot_be_stored_is_refused() -> None:
    signature = Signature(params=(Param("callback", pa.null(), object()),))
    with pytest.raises(ModelError, match="'callback'.*object.*stored"):
        signature_to_dict(signature)


@pytest.mark.parametrize("written", [{"inputs": [{"name": "x"}]}, {"inputs": [{"name": "x", "type": "int65"}]}, []])
def test_damage_is_told(written: object) -> None:
    with pytest.raises(ModelError, match="stored signature cannot be read"):
        signature_from_dict(written)
