"""The warm runner: what looking at a model may do to it, and what it tells of the settings."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

import gristmill
from gristmill import OutputSpec, Settings
from gristmill.errors import ModelError
from gristmill.settings import PoolSettings
from gristmill.submission.warm import settings_variables

ENDINGS = {
    "exits": ("import sys; sys.exit(7)", "exit code 7"),
    "leaves": ("import os; os._exit(7)", "exit code 7"),
    "crashes": ("import os; os.abort()", "signal SIGABRT"),
    "is_killed": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "signal SIGSEGV"),
}


def attempt(module: str, pool: str, tmp_path: Path) -> None:
    gristmill.run_batch(
        f"python:{module}:model",
        pa.table({"id": [1]}),
        output_spec=OutputSpec(location=tmp_path / "out"),
        compute_pool=pool,
    )


@pytest.mark.parametrize("ending", sorted(ENDINGS))
def test_a_model_that_ends_its_process_does_not_end_the_client(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    code, told = ENDINGS[ending]
    (tmp_path / f"{ending}_at_import.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match=told):
        attempt(f"{ending}_at_import", "local", tmp_path)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "home").exists()


def test_a_model_that_exits_does_not_end_an_inline_client(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exits_inline.py").write_text("raise SystemExit(7)")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match="exit code 7"):
        attempt("exits_inline", "inline", tmp_path)


def test_what_may_be_secret_is_told_only_where_it_is_meant() -> None:
    pool = PoolSettings(
        kind="ray", init={"_redis_password": "hunter2"}, runtime_env={"env_vars": {"K": "hunter2"}}, token="hunter2"
    )
    settings = Settings(home="/h", pools={"gpu": pool}, storage_options={"s3": {"secret": "hunter2"}})
    told = settings_variables(settings, secrets=False)
    assert "hunter2" not in json.dumps(told)
    assert json.loads(told["GRISTMILL_POOLS"])["gpu"]["kind"] == "ray"
    assert json.dumps(settings_variables(settings, secrets=True)).count("hunter2") == 4
