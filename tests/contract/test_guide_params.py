"""Params of a guide: values that a signature lists, given once for a job; the rest have their defaults."""

import pandas as pd
import pyarrow as pa
import pytest

import gristmill
from gristmill import FileEncoding, InputFormat, InputSpec, JobStatus, ModelVersion, OutputSpec, Registry, custom_model
from gristmill import model_signature as core
from tests.contract.guide import Guide, same
from tests.contract.guide import guide as guide
from tests.tiny import media

LOCATION = "@my_db.my_schema.my_stage/path/"


class Writer(custom_model.CustomModel):
    """Says what it was told."""

    @custom_model.inference_api
    def predict(
        self, df: pd.DataFrame, *, temperature: float = 0.5, max_tokens: int = 16, stop: list[str] | None = None
    ) -> pd.DataFrame:
        told = f"{temperature!r} {max_tokens!r} {list(stop or [])!r}"
        return pd.DataFrame({"text": [f"{prompt}: {told}" for prompt in df["prompt"]]})


@pytest.fixture
def writer(guide: Guide) -> ModelVersion:
    signature = core.ModelSignature(
        inputs=[core.FeatureSpec(name="prompt", dtype=core.DataType.STRING)],
        outputs=[core.FeatureSpec(name="text", dtype=core.DataType.STRING)],
        params=[
            core.ParamSpec(name="temperature", dtype=core.DataType.DOUBLE, default_value=1.0),
            core.ParamSpec(name="max_tokens", dtype=core.DataType.INT64, default_value=250),
            core.ParamSpec(name="stop", dtype=core.DataType.STRING, default_value=["."], shape=(-1,)),
        ],
    )
    return Registry().log_model(Writer(), model_name="writer", version_name="v1", signatures={"predict": signature})


def test_params_that_are_not_given_have_the_defaults_of_the_signature(writer: ModelVersion) -> None:
    mv = writer
    input_df = pd.DataFrame({"PROMPT": ["a", "b"]})

    job = mv.run_batch(
        X=input_df,
        compute_pool="my_compute_pool",
        input_spec=InputSpec(params={"temperature": 0.9, "max_tokens": 512}),
        output_spec=OutputSpec(stage_location="@my_db.my_schema.my_stage/path/"),
    )
    assert job.wait() is JobStatus.DONE, job.message
    found = same(mv, input_df, LOCATION, params={"temperature": 0.9, "max_tokens": 512})
    assert found["text"].to_pylist() == ["a: 0.9 512 ['.']", "b: 0.9 512 ['.']"]


def test_names_of_params_have_any_case_and_whole_numbers_become_floats(writer: ModelVersion) -> None:
    given = {"TEMPERATURE": 0, "Stop": []}
    job = writer.run_batch(
        pd.DataFrame({"PROMPT": ["a"]}),
        compute_pool="my_compute_pool",
        input_spec=InputSpec(params=given),
        output_spec=OutputSpec(stage_location=LOCATION),
    )
    assert job.wait() is JobStatus.DONE, job.message
    found = same(writer, pd.DataFrame({"PROMPT": ["a"]}), LOCATION, params=given)
    assert found["text"].to_pylist() == ["a: 0.0 250 []"]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"top_k": 1}, "temperature"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"stop": "."}, "stop"),
        ({"temperature": 1.0, "Temperature": 0.5}, "temperature"),
    ],
)
def test_wrong_params_are_refused_before_anything_is_written(
    guide: Guide, writer: ModelVersion, params: dict[str, object], said: str
) -> None:
    with pytest.raises(gristmill.GristmillError, match=said):
        writer.run_batch(
            pd.DataFrame({"PROMPT": ["a"]}),
            compute_pool="my_compute_pool",
            input_spec=InputSpec(params=params),
            output_spec=OutputSpec(stage_location=LOCATION),
        )
    assert not list(guide.output.iterdir())


class Transcriber(custom_model.CustomModel):
    """How long a sound is, in a language, for a task."""

    @custom_model.inference_api
    def predict(self, df: pd.DataFrame, *, language: str = "", task: str = "") -> pd.DataFrame:
        return pd.DataFrame({"text": [f"{task} {language} {len(one)}" for one in df["audio"]]})


def test_params_stand_beside_file_columns(guide: Guide) -> None:
    signature = core.ModelSignature(
        inputs=[core.FeatureSpec(name="audio", dtype=core.DataType.BYTES)],
        outputs=[core.FeatureSpec(name="text", dtype=core.DataType.STRING)],
        params=[
            core.ParamSpec(name=name, dtype=core.DataType.STRING, default_value=default)
            for name, default in (("language", "de"), ("task", "translate"))
        ],
    )
    mv = Registry().log_model(
        Transcriber(), model_name="transcriber", version_name="v1", signatures={"predict": signature}
    )
    (told,) = mv.show_functions().collect()
    assert told["params"] == "language: string = 'de', task: string = 'translate'"

    input_spec = InputSpec(
        column_handling={
            "AUDIO": {
                "input_format": InputFormat.FULL_STAGE_PATH,
                "convert_to": FileEncoding.RAW_BYTES,
            }
        },
        params={"language": "en", "task": "transcribe"},
    )

    sound = media.sound()
    job = mv.run_batch(
        pa.table({"AUDIO": [guide.put("a.wav", sound)]}),
        compute_pool="my_compute_pool",
        input_spec=input_spec,
        output_spec=OutputSpec(stage_location=LOCATION),
    )
    assert job.wait() is JobStatus.DONE, job.message
    assert gristmill.read_output(LOCATION)["text"].to_pylist() == [f"transcribe en {len(sound)}"]
