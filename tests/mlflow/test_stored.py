from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from tests.model_registry import estimator_folder

from gristmill.errors import ModelError
from gristmill.mlflow.stored import StoredModel, Told
from gristmill.models.signature import Feature, Param, Signature

FUNCTIONS = {
    "predict": Signature(outputs=(Feature("v", pa.list_(pa.float32(), 3)),), params=(Param("k", pa.int64(), 3),)),
    "embed": Signature(inputs=(Feature("text", pa.string()),), kind="table"),
}


def text_of(told: Told, **more: object) -> str:
    return yaml.safe_dump({"flavors": {"python_function": {}}, "metadata": {"gristmill": told.metadata()}, **more})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(text_of(Told("custom", FUNCTIONS, "predict")))
    (tmp_path / "requirements.txt").write_text("pillow>=11\n\n# why\ntorch # the CPU's\n")
    found = StoredModel.read(tmp_path)
    assert (found.form, found.functions, found.default_function) == ("custom", FUNCTIONS, "predict")
    assert found.requirements == ("pillow>=11", "torch")
    assert (found.checkpoint, found.task) == (None, None)


def test_a_checkpoint_is_a_folder_or_a_name(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(text_of(Told("checkpoint", {}, task="text-generation")))
    assert StoredModel.read(tmp_path).checkpoint == str(tmp_path / "checkpoint")
    named = StoredModel.of_text(text_of(Told("checkpoint", {}, hub="org/name", task="fill-mask")))
    assert (named.checkpoint, named.task) == ("org/name", "fill-mask")


def test_a_folder_of_plain_mlflow_says_what_mlflow_wrote(tmp_path: Path) -> None:
    found = StoredModel.read(estimator_folder(tmp_path / "m"))
    assert (found.form, found.default_function, found.requirements[-1]) == ("flavor", "predict", "scikit-learn")
    assert found.functions["predict"].inputs == (Feature("a", pa.float64()), Feature("b", pa.float64()))
    assert "sklearn" in found.flavors


def test_what_mlflow_found_out_of_a_flavor_is_not_lost() -> None:
    signature = {"inputs": None, "outputs": '[{"type": "string", "required": true}]', "params": None}
    found = StoredModel.of_text(text_of(Told("flavor", {"predict": Signature()}, "predict"), signature=signature))
    assert found.functions["predict"].outputs == (Feature("output_feature_0", pa.string()),)


def test_a_model_without_a_signature_has_its_function_open() -> None:
    assert StoredModel.of_text("flavors: {}").functions == {"predict": Signature()}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a\n- b\n", "damaged"),
        ("a: [", "damaged"),
        ("metadata: {gristmill: {version: 2, form: custom}}", "another version of Gristmill"),
        ("metadata: {gristmill: {version: 1, form: odd}}", "another version of Gristmill"),
        ("metadata: {gristmill: {version: 1, form: custom, functions: {f: {inputs: [{}]}}}}", "cannot be read"),
    ],
)
def test_damage_is_told(text: str, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        StoredModel.of_text(text)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no file MLmodel"):
        StoredModel.read(tmp_path)
