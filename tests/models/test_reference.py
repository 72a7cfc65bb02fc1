from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression

from gristmill.errors import LocationError, ModelError
from gristmill.models.objects import ModelObject
from gristmill.models.reference import ModelReference, normalize_model, parse_reference
from gristmill.settings import Settings
from gristmill.storage.storage import Storage


def test_a_reference_is_a_scheme_and_what_it_names() -> None:
    assert parse_reference("python:shop.models:Ranker.best") == ModelReference("python", "shop.models:Ranker.best")
    assert parse_reference(" pickle:s3://models/a.pkl ") == ModelReference("pickle", "s3://models/a.pkl")
    assert parse_reference("echo:") == ModelReference("echo", "")
    assert str(parse_reference("hf:org/name")) == "hf:org/name"


@pytest.mark.parametrize(
    "text", ["", "ranker", "s3://bucket/model.bin", "Python:a:b", "python:shop", "python:a:", "hf:"]
)
def test_other_text_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ModelError, match=r"python:package\.module:attribute"):
        parse_reference(text)


def test_a_forgotten_scheme_is_pointed_out() -> None:
    with pytest.raises(ModelError, match=r"write 'python:shop\.models:Ranker'"):
        parse_reference("shop.models:Ranker")


@pytest.mark.parametrize("name", ["m.joblib", "m.pkl", "m.PICKLE"])
def test_the_path_of_a_saved_object_is_a_model(name: str, storage: Storage) -> None:
    expected = f"pickle:{Path.cwd() / name}"
    assert normalize_model(name, storage) == expected
    assert normalize_model(Path(name), storage) == expected
    assert normalize_model(f"pickle:{name}", storage) == expected


def test_stages_and_urls_are_resolved(tmp_path: Path) -> None:
    storage = Storage(Settings.load(stages={"models": "s3://bucket/models"}))
    assert normalize_model("@models/a.pkl", storage) == "pickle:s3://bucket/models/a.pkl"
    assert normalize_model("s3://bucket/a.joblib", storage) == "pickle:s3://bucket/a.joblib"
    with pytest.raises(LocationError, match=r"model|stage"):
        normalize_model("@nowhere/a.pkl", storage)


def test_a_folder_with_a_config_is_a_transformers_model(tmp_path: Path, storage: Storage) -> None:
    folder = tmp_path / "bert"
    folder.mkdir()
    with pytest.raises(ModelError, match=r"config\.json"):
        normalize_model(folder, storage)
    (folder / "config.json").write_text("{}")
    for written in (folder, str(folder), f"hf:{folder}"):
        assert normalize_model(written, storage) == f"hf:{folder}"


def test_a_name_on_the_hub_stays_a_name(storage: Storage) -> None:
    assert normalize_model("hf:google/vit-base-patch16-224", storage) == "hf:google/vit-base-patch16-224"
    with pytest.raises(ModelError, match="neither the name of a model"):
        normalize_model("hf:a/b/c", storage)
    with pytest.raises(ModelError, match="copy it to a local one"):
        normalize_model("hf:s3://bucket/bert", storage)


def test_another_engines_reference_passes(storage: Storage) -> None:
    assert normalize_model("models:/iris/3", storage) == "models:/iris/3"


def test_an_object_is_recognised_and_anything_else_refused(storage: Storage) -> None:
    estimator = LogisticRegression()
    assert normalize_model(estimator, storage) == ModelObject(estimator, "estimator")
    with pytest.raises(ModelError, match="is no model: give a class or an object with @inference_api"):
        normalize_model(42, storage)
