"""Whether what the settings name can be reached: tried against real folders, a real store and ports where none is."""

import json
from pathlib import Path

import pytest

from gristmill.settings import PoolSettings, Settings
from gristmill.submission.reach import Look, reach
from tests.conftest import S3Server
from tests.model_registry import ModelRegistry


def look(settings: Settings, field: str) -> Look:
    return next(each for each in reach(settings) if each.field == field)


def test_what_works_is_said_field_by_field(settings: Settings, tmp_path: Path):
    (tmp_path / "images").mkdir()
    mine = settings.model_copy(
        update={"stages": {"images": str(tmp_path / "images"), "later": str(tmp_path / "later")}}
    )
    looks = reach(mine)
    assert [each.field for each in looks] == ["home", "stages.images", "stages.later", "default_pool"]
    assert not [each.problem for each in looks if each.problem]
    assert "not there yet" in looks[2].found


def test_the_home_is_left_as_it_was(settings: Settings):
    assert not look(settings, "home").problem
    assert not [path for path in Path(settings.home).rglob("*") if path.is_file()]


def test_a_home_that_cannot_be_written_to_is_a_problem(settings: Settings, tmp_path: Path):
    (tmp_path / "file").write_text("")
    found = look(settings.model_copy(update={"home": str(tmp_path / "file" / "home")}), "home")
    assert "NotADirectoryError" in found.problem
    assert "give a home that can be written to" in found.problem


def test_a_home_that_cannot_be_is_told_as_elsewhere(settings: Settings):
    found = look(settings.model_copy(update={"home": "@nowhere/home"}), "home")
    assert "names the stage '@nowhere', which the settings do not have" in found.problem


def test_a_store_is_written_to_read_and_listed(s3: S3Server):
    mine = s3.settings.model_copy(update={"home": f"{s3.root}/home"})
    assert [each.problem for each in reach(mine)] == [""] * 3


def test_a_bucket_that_is_not_there_is_a_problem_and_a_folder_in_one_is_none(s3: S3Server):
    stages = {"bucket": "s3://no-such-bucket-here", "in_it": "s3://no-such-bucket-here/x", "later": f"{s3.root}/later"}
    mine = s3.settings.model_copy(update={"home": "s3://no-such-bucket-here/home", "stages": stages})
    looks = {each.field: each for each in reach(mine)}
    for field in ("home", "stages.bucket", "stages.in_it"):
        assert "correct the stage's location" in looks[field].problem or "give a home" in looks[field].problem, field
    assert "not there yet" in looks["stages.later"].found


def test_a_cluster_that_does_not_answer_is_a_problem_of_its_pool(settings: Settings):
    pool = PoolSettings(kind="ray", address="http://127.0.0.1:9", token="hunter2")
    mine = settings.model_copy(update={"pools": {"far": pool, "here": PoolSettings(kind="local")}})
    looks = {each.field: each for each in reach(mine)}
    assert looks.keys() == {"home", "pools.far", "default_pool"}
    assert "http://127.0.0.1:9 does not answer" in looks["pools.far"].problem


def test_a_default_pool_that_is_not_there_is_a_problem(settings: Settings):
    assert "no pool 'gone'" in look(settings.model_copy(update={"default_pool": "gone"}), "default_pool").problem


@pytest.mark.parametrize("name", ["secret", "account_key"])
def test_no_secret_is_told_of_a_store_that_repeats_it(settings: Settings, name: str):
    mine = settings.model_copy(
        update={
            "stages": {"s": "s3://bucket"},
            "storage_options": {"s3": {name: "hunter2", "endpoint_url": "hunter2://x"}},
        }
    )
    problem = look(mine, "stages.s").problem
    assert problem
    assert "hunter2" not in json.dumps(problem)


def test_a_registry_answers_or_says_why_not(model_registry: ModelRegistry):
    assert look(model_registry.settings, "registry").found == f"{model_registry.address} answers, and has no models yet"
    lost = model_registry.settings.model_copy(update={"registry": "http://127.0.0.1:9"})
    assert "the registry http://127.0.0.1:9 does not answer" in look(lost, "registry").problem
