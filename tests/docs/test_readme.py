import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gristmill
from gristmill.settings import Settings
from tests.docs.pages import ROOT, commands, python, write_files

README = ROOT / "README.md"


@pytest.fixture
def shop(settings: Settings) -> Path:
    """A working folder with the files that the README's examples run over, and the examples."""
    folder = Path.cwd()
    (folder / "photos").mkdir()
    for size in (3, 10):
        (folder / "photos" / f"{size}.jpg").write_bytes(b"x" * size)
    (folder / "orders").mkdir()
    orders = pa.table({"id": [1, 2, 3], "price": [10.0, 5.0, 2.5], "amount": [1, 0, 4]})
    pq.write_table(orders, folder / "orders" / "2026-01-01.parquet")
    assert write_files(README, folder) == ["shop.py", "nightly.py", "churn.py"]
    return folder


@pytest.mark.parametrize("pool", ["inline", "local"])
def test_the_example_does_what_it_says(shop: Path, pool: str) -> None:
    python("nightly.py", GRISTMILL_DEFAULT_POOL=pool)
    assert gristmill.read_output("out/sizes")["size"].to_pylist() == [10, 3]
    assert gristmill.read_output("out/totals/2026-01-01").to_pylist() == [
        {"id": 1, "price": 10.0, "amount": 1, "total": 12.0},
        {"id": 3, "price": 2.5, "amount": 4, "total": 12.0},
    ]


def test_the_commands_do_what_they_say(shop: Path) -> None:
    run, *others = [shlex.split(command) for command in commands(README)]
    assert run[:2] == ["gristmill", "run"]
    for _, *arguments in (run, *others):
        python("-m", "gristmill.cli", *arguments)
    assert gristmill.read_output("out/again")["size"].to_pylist() == [10, 3]


def test_a_registered_model_runs_in_place_as_a_job_and_in_sql(shop: Path) -> None:
    said = python("churn.py")
    assert gristmill.read_output("out/churn")["output_feature_0"].to_pylist() == [0, 1, 0, 1]
    assert "[(21.0, 0), (35.0, 1), (52.0, 0), (64.0, 1)]" in said
