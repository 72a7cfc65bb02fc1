import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from gristmill.engines.pipeline import PipelineModel, describe_hf, load_pipeline
from gristmill.engines.python import PythonEngine
from gristmill.errors import ModelError, SchemaError
from gristmill.models.objects import object_kind, save_object
from gristmill.storage.storage import Storage

TEXTS = pa.RecordBatch.from_pydict({"id": [1, 2, 3], "text": ["good", "very very bad", "good good"]})


def png(shade: int, size: int = 20) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (size, size), shade).save(buffer, "PNG")
    return buffer.getvalue()


def images(*contents: bytes | None) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"id": range(len(contents)), "image": pa.array(contents, pa.binary())})


def test_a_model_is_described_from_its_config_alone(text_classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((text_classifier / "config.json").read_bytes())
    info = describe_hf(str(tmp_path), {})
    schema = pa.schema([("label", pa.string()), ("score", pa.float64())])
    assert info.functions["__call__"].output_schema() == schema
    assert (info.default_function, info.uses_gpu) == ("__call__", True)


def test_a_model_of_no_known_task_says_which_there_are(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["OddForAlchemy"]}')
    with pytest.raises(ModelError, match=r"is made for OddForAlchemy: name the task.*text-classification"):
        describe_hf(str(tmp_path), {})
    assert describe_hf(str(tmp_path), {"task": "ASR"}).functions["__call__"].output_schema() == pa.schema(
        [("outputs", pa.struct([("text", pa.string())]))]
    )
    with pytest.raises(ModelError, match=r"task: 'alchemy' does not run over rows"):
        describe_hf(str(tmp_path), {"task": "alchemy"})


def test_texts_are_classified_with_a_column_for_each_part_of_the_answer(text_classifier: Path, context: Any) -> None:
    model = load_pipeline(str(text_classifier), context(TEXTS))
    output = model.infer(TEXTS)
    assert output.schema == pa.schema([("label", pa.string()), ("score", pa.float64())])
    assert set(output.column("label").to_pylist()) <= {"NO", "YES"}
    alone = [model.infer(TEXTS.slice(place, 1)).column("score")[0].as_py() for place in range(3)]
    assert output.column("score").to_pylist() == pytest.approx(alone, abs=1e-5)


def test_images_are_classified_into_a_list_of_labels_and_scores(image_classifier: Path, context: Any) -> None:
    batch = images(png(0), png(255, size=40), png(90))
    output = load_pipeline(str(image_classifier), context(batch)).infer(batch)
    answers = output.column("outputs").to_pylist()
    assert [len(answer) for answer in answers] == [3, 3, 3]
    assert {score["label"] for score in answers[0]} == {"a", "b", "c"}
    assert sum(score["score"] for score in answers[1]) == pytest.approx(1, abs=1e-5)
    described = describe_hf(str(image_classifier), {}).functions["__call__"].output_schema()
    assert output.schema == described


def test_params_reach_the_pipeline_and_none_leaves_it_its_own(image_classifier: Path, context: Any) -> None:
    batch = images(png(0))
    made = context(batch, params={"top_k": 1, "function_to_apply": None})
    assert len(load_pipeline(str(image_classifier), made).infer(batch).column("outputs")[0]) == 1


@pytest.mark.parametrize("bad", [b"not a png", None])
def test_a_damaged_image_fails_its_batch_and_the_others_run_without_it(
    bad: bytes | None, image_classifier: Path, context: Any
) -> None:
    batch = images(png(0), bad, png(9))
    model = load_pipeline(str(image_classifier), context(batch))
    with pytest.raises((ValueError, OSError)):
        model.infer(batch)
    assert model.infer(batch.slice(2)).num_rows == 1


def test_a_text_in_an_image_column_is_content_and_never_a_path(
    image_classifier: Path, context: Any, tmp_path: Path
) -> None:
    (tmp_path / "x.png").write_bytes(png(3))
    batch = pa.RecordBatch.from_pydict({"image": [str(tmp_path / "x.png")]})
    with pytest.raises(ValueError, match="not base64"):
        load_pipeline(str(image_classifier), context(batch)).infer(batch)


def test_the_column_is_named_where_several_could_be_it(text_classifier: Path, context: Any) -> None:
    batch = pa.RecordBatch.from_pydict({"title": ["good"], "BODY": ["bad"]})
    with pytest.raises(SchemaError, match=r"one column of text, and the input has 2 .*title, BODY"):
        load_pipeline(str(text_classifier), context(batch))
    assert load_pipeline(str(text_classifier), context(batch, options={"column": "body"})).infer(batch).num_rows == 1


def test_features_are_lists_of_vectors(text_classifier: Path, context: Any) -> None:
    options = {"task": "feature-extraction", "column": "text"}
    output = load_pipeline(str(text_classifier), context(TEXTS, options=options)).infer(TEXTS)
    assert output.schema.field("outputs").type == pa.list_(pa.list_(pa.float64()))
    assert len(output.column("outputs")[0][0]) == 16


def test_no_rows_have_the_columns_that_rows_have(text_classifier: Path, context: Any) -> None:
    model = load_pipeline(str(text_classifier), context(TEXTS))
    assert model.infer(TEXTS.slice(0, 0)).schema == model.infer(TEXTS).schema


def test_a_pipeline_object_is_a_model(text_classifier: Path, tmp_path: Path, storage: Storage, context: Any) -> None:
    from transformers import pipeline

    made = pipeline("text-classification", model=str(text_classifier))
    assert object_kind(made) == "pipeline"
    assert PipelineModel(made, context(TEXTS)).infer(TEXTS).num_rows == 3
    reference = save_object(made, storage, str(tmp_path))
    assert PythonEngine().describe(reference, {}, storage).default_function == "__call__"
    loaded = PythonEngine().load(context(TEXTS, model=reference, function="__call__"))
    assert loaded.infer(TEXTS).column("label").to_pylist() == [
        answer["label"] for answer in made(TEXTS.column("text").to_pylist())
    ]
