"""A custom model of a guide: sounds from a stage, as base64, through a speech recognition pipeline."""

import io
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import gristmill
from gristmill import (
    FileEncoding,
    InputFormat,
    InputSpec,
    JobStatus,
    OutputSpec,
    Registry,
    SaveMode,
    custom_model,
    list_stage_files,
)
from gristmill import model_signature as core
from tests.contract.guide import Guide, same
from tests.contract.guide import ffmpeg as ffmpeg
from tests.contract.guide import guide as guide
from tests.contract.guide_models import make_whisper
from tests.tiny import media

PITCHES = (1, 8, 22)
"""Of the sounds; what the model hears differs."""
OUTPUTS = pa.struct(
    [
        ("text", pa.string()),
        ("chunks", pa.list_(pa.struct([("timestamp", pa.list_(pa.float64())), ("text", pa.string())]))),
    ]
)

# first we must define the schema, we'll expect audio file input as base64 string
signature = core.ModelSignature(
    inputs=[
        core.FeatureSpec(name="audio", dtype=core.DataType.STRING),
    ],
    outputs=[
        core.FeatureGroupSpec(
            name="outputs",
            specs=[
                core.FeatureSpec(name="text", dtype=core.DataType.STRING),
                core.FeatureGroupSpec(
                    name="chunks",
                    specs=[
                        core.FeatureSpec(name="timestamp", dtype=core.DataType.DOUBLE, shape=(2,)),
                        core.FeatureSpec(name="text", dtype=core.DataType.STRING),
                    ],
                    shape=(-1,),
                ),
            ],
        ),
    ],
)


# defining the custom model, we decode the input from base64 to bytes and
# use whisper to perform the transcription
class CustomTranscriber(custom_model.CustomModel):
    def __init__(self, context: custom_model.ModelContext) -> None:
        super().__init__(context)
        self.model = self.context.model_ref("my_model")

    @custom_model.inference_api
    def predict(self, df: pd.DataFrame) -> pd.DataFrame:
        import base64

        audio_b64_list = df["audio"].tolist()
        audio_bytes_list = [base64.b64decode(audio_b64) for audio_b64 in audio_b64_list]
        temp_res = [self.model(audio_bytes) for audio_bytes in audio_bytes_list]
        return pd.DataFrame({"outputs": temp_res})


def soundfile_read(content: bytes) -> Any:
    import soundfile

    return soundfile.read(io.BytesIO(content), dtype="float32")[0]


def mp3(seed: int) -> bytes:
    """A tone as MP3."""
    import soundfile

    samples, rate = soundfile.read(io.BytesIO(media.sound(seed)))
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="MP3")
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of torch wait for each other by spinning, which takes long where others want the processors."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a tiny Whisper of random weights."""
    folder = tmp_path_factory.mktemp("whisper")
    make_whisper(folder)
    return str(folder)


@pytest.mark.usefixtures("ffmpeg")
@pytest.mark.parametrize("options", [{}, {"return_timestamps": True}], ids=["texts", "timestamps"])
def test_a_custom_model_around_a_pipeline_transcribes_sounds_given_as_base64(
    guide: Guide, whisper: str, options: dict[str, Any]
) -> None:
    from transformers import pipeline

    for number, pitch in enumerate(PITCHES):
        guide.put(f"dataset/audio/audio{number + 1}.mp3", mp3(pitch))
    reg = Registry()

    # creating an instance of our transcriber for logging
    transcriber = CustomTranscriber(
        custom_model.ModelContext(
            models={"my_model": pipeline(task="automatic-speech-recognition", model=whisper, **options)}
        )
    )

    # log the model
    mv = reg.log_model(
        transcriber,
        model_name="custom_transcriber",
        version_name="v1",
        signatures={"predict": signature},
    )

    # input dataframe
    data = [
        ["@DB.SCHEMA.STAGE/dataset/audio/audio1.mp3"],
        ["@DB.SCHEMA.STAGE/dataset/audio/audio2.mp3"],
        ["@DB.SCHEMA.STAGE/dataset/audio/audio3.mp3"],
    ]
    column_names = ["audio"]  # This column was defined in the signature above
    input_df = pd.DataFrame(data, columns=column_names)

    job = mv.run_batch(
        X=input_df,
        compute_pool="my_compute_pool",
        output_spec=OutputSpec(stage_location="@my_db.my_schema.my_stage/path/"),
        input_spec=InputSpec(
            # we need to provide column_handling in the InputSpec to perform the necessary conversion
            # FULL_STAGE_PATH: fully qualified path (db.schema.stage/path) to a file
            # BASE_64: download and convert the file from the stage path to base64 string
            column_handling={"audio": {"input_format": InputFormat.FULL_STAGE_PATH, "convert_to": FileEncoding.BASE64}}
        ),
    )
    assert job.wait() is JobStatus.DONE, job.message

    found = same(
        mv,
        input_df,
        "@my_db.my_schema.my_stage/path/",
        column_handling={"audio": {"input_format": InputFormat.FULL_STAGE_PATH, "convert_to": FileEncoding.BASE64}},
    )
    assert found["audio"].to_pylist() == [row[0] for row in data]
    assert found.schema.field("outputs").type == OUTPUTS
    heard = [transcriber.model(mp3(pitch)) for pitch in PITCHES]
    assert found["outputs"].to_pylist() == [
        {"text": one["text"], "chunks": [*map(as_written, one["chunks"])] if options else None} for one in heard
    ]
    assert len({one["text"] for one in heard}) > 1


def as_written(chunk: dict[str, Any]) -> dict[str, Any]:
    return {"timestamp": list(chunk["timestamp"]), "text": chunk["text"]}


@pytest.mark.parametrize("pads", [True, False], ids=["together", "one by one"])
def test_a_speech_pipeline_transcribes_the_sounds_that_are_listed_on_a_stage(
    guide: Guide, whisper: str, pads: bool
) -> None:
    from transformers import pipeline

    for number, pitch in enumerate(PITCHES):
        guide.put(f"audio/{number}.wav", media.sound(pitch))
    guide.put("audio/notes.txt", b"no sound")
    recognizer = pipeline(task="automatic-speech-recognition", model=whisper)
    if not pads:
        recognizer.tokenizer.pad_token = None
    mv = Registry().log_model(recognizer, model_name="WHISPER", version_name="V1")

    # List audio files from stage
    input_df = list_stage_files("@DB.SCHEMA.STAGE/audio", pattern=".*\\.wav", column_name="AUDIO")

    output_location = "@my_db.my_schema.my_stage/output/"

    job = mv.run_batch(
        X=input_df,
        compute_pool="GPU_COMPUTE_POOL",
        output_spec=OutputSpec(
            stage_location=output_location,
            mode=SaveMode.OVERWRITE,
        ),
        input_spec=InputSpec(
            column_handling={
                "AUDIO": {
                    "input_format": InputFormat.FULL_STAGE_PATH,
                    "convert_to": FileEncoding.RAW_BYTES,
                }
            }
        ),
    )

    assert job.wait() is JobStatus.DONE, job.message

    # Read transcription results
    results_df = gristmill.read_output(output_location)
    assert results_df["AUDIO"].to_pylist() == [f"@DB.SCHEMA.STAGE/audio/{number}.wav" for number in range(3)]
    samples = [soundfile_read(media.sound(pitch)) for pitch in PITCHES]
    assert results_df["outputs"].to_pylist() == [{"text": recognizer(one)["text"]} for one in samples]
