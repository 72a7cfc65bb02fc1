"""Images of a guide: a classification pipeline over files of a stage, and file columns beside others."""

import io
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
    ModelVersion,
    OutputSpec,
    Registry,
    SaveMode,
    custom_model,
    list_stage_files,
)
from gristmill import model_signature as core
from tests.contract.guide import Guide, same
from tests.contract.guide import guide as guide
from tests.contract.guide_models import LABELS, make_vit
from tests.tiny import media

RAW = {"input_format": InputFormat.FULL_STAGE_PATH, "convert_to": FileEncoding.RAW_BYTES}


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a tiny ViT of random weights."""
    folder = tmp_path_factory.mktemp("vit")
    make_vit(folder)
    return str(folder)


@pytest.fixture
def classifier(vit: str) -> Any:
    from transformers import pipeline

    # supported Hugging Face tasks will have their signatures auto-inferred
    return pipeline(task="image-classification", model=vit)


def labels(classifier: Any, number: int) -> Any:
    """What the pipeline itself says of an image; alone, it has other last digits than among others."""
    from PIL import Image

    found = classifier(Image.open(io.BytesIO(media.jpeg(number))))
    return [{"label": one["label"], "score": pytest.approx(one["score"], rel=1e-4)} for one in found]


def test_a_pipeline_classifies_images_in_a_column_of_another_case_than_its_signature(
    guide: Guide, classifier: Any
) -> None:
    for number in range(3):
        guide.put(f"dataset/image/image{number + 1}.jpg", media.jpeg(number))
    reg = Registry()

    # log the model
    mv = reg.log_model(
        classifier,
        model_name="image_classifier",
        version_name="v1",
        pip_requirements=[
            "pillow"  # dependency for image classification
        ],
    )

    # input dataframe
    data = [
        ["@DB.SCHEMA.STAGE/dataset/image/image1.jpg"],
        ["@DB.SCHEMA.STAGE/dataset/image/image2.jpg"],
        ["@DB.SCHEMA.STAGE/dataset/image/image3.jpg"],
    ]
    # this column was defined in the auto-inferred signature
    # you can view the signature by calling 'mv.show_functions()'
    column_names = ["images"]
    input_df = pd.DataFrame(data, columns=column_names)

    job = mv.run_batch(
        X=input_df,
        compute_pool="my_compute_pool",
        output_spec=OutputSpec(stage_location=f"@my_db.my_schema.my_stage/path/"),  # noqa: F541 - as the guide has it
        input_spec=InputSpec(
            # we need to provide column_handling in the InputSpec to perform the necessary conversion
            # FULL_STAGE_PATH: fully qualified path (db.schema.stage/path) to a file
            # RAW_BYTES: download and convert the file to bytes (matching the predefined signature)
            column_handling={
                "IMAGES": {"input_format": InputFormat.FULL_STAGE_PATH, "convert_to": FileEncoding.RAW_BYTES}
            }
        ),
    )
    assert job.wait() is JobStatus.DONE, job.message

    (told,) = mv.show_functions().collect()
    assert told["inputs"] == "images: binary"
    found = same(mv, input_df, "@my_db.my_schema.my_stage/path/", column_handling={"IMAGES": RAW})
    assert found["images"].to_pylist() == [row[0] for row in data]
    assert found.schema.field("outputs").type == pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64())]))
    assert found["outputs"].to_pylist() == [labels(classifier, number) for number in range(3)]


def test_a_pipeline_classifies_the_images_that_are_listed_on_a_stage(guide: Guide, classifier: Any) -> None:
    for number, name in enumerate(LABELS):
        guide.put(f"images/more/{name}.jpg", media.jpeg(number))
    guide.put("images/notes.txt", b"no image")
    Registry().log_model(classifier, model_name="MODEL_NAME", version_name="VERSION")

    reg = Registry()
    mv = reg.get_model("MODEL_NAME").version("VERSION")

    # List image files from stage
    input_df = list_stage_files(
        "@DB.SCHEMA.STAGE/images",
        pattern=".*\\.jpg",  # for jpg files, adjust as needed
        column_name="IMAGES",
    )

    output_location = "@my_db.my_schema.my_stage/output/"

    job = mv.run_batch(
        X=input_df,
        compute_pool="COMPUTE_POOL",
        output_spec=OutputSpec(
            stage_location=output_location,
            mode=SaveMode.OVERWRITE,
        ),
        input_spec=InputSpec(
            column_handling={
                "IMAGES": {
                    "input_format": InputFormat.FULL_STAGE_PATH,
                    "convert_to": FileEncoding.RAW_BYTES,
                }
            }
        ),
    )

    assert job.wait() is JobStatus.DONE, job.message

    # Read results
    results_df = gristmill.read_output(output_location)
    assert results_df["IMAGES"].to_pylist() == [f"@DB.SCHEMA.STAGE/images/more/{name}.jpg" for name in LABELS]
    assert results_df["outputs"].to_pylist() == [labels(classifier, number) for number in range(3)]


class Pairs(custom_model.CustomModel):
    """How a picture and a sound begin."""

    @custom_model.inference_api
    def predict(self, df: pd.DataFrame) -> pd.DataFrame:
        image, audio = df["IMAGE_PATH"], df["AUDIO_PATH"]
        kinds = [f"{type(one).__name__}, {type(other).__name__}" for one, other in zip(image, audio, strict=True)]
        return pd.DataFrame({"image": image.str[:2], "audio": audio.str[:4], "kinds": kinds})


def pairs() -> ModelVersion:
    features = [core.FeatureSpec(name=name, dtype=core.DataType.BYTES) for name in ("IMAGE_PATH", "AUDIO_PATH")]
    found = [core.FeatureSpec(name=name, dtype=core.DataType.BYTES) for name in ("image", "audio")]
    kinds = core.FeatureSpec(name="kinds", dtype=core.DataType.STRING)
    signature = core.ModelSignature(inputs=features, outputs=[*found, kinds])
    return Registry().log_model(Pairs(), model_name="pairs", version_name="v1", signatures={"predict": signature})


def test_a_model_takes_several_file_columns(guide: Guide) -> None:
    paths = [
        [guide.put(f"img{number}.jpg", media.jpeg(number)), guide.put(f"sound{number}.wav", media.sound(number))]
        for number in (1, 2)
    ]
    input_df = pd.DataFrame(paths, columns=["IMAGE_PATH", "AUDIO_PATH"])

    input_spec = InputSpec(
        column_handling={
            "IMAGE_PATH": {
                "input_format": InputFormat.FULL_STAGE_PATH,
                "convert_to": FileEncoding.RAW_BYTES,
            },
            "AUDIO_PATH": {
                "input_format": InputFormat.FULL_STAGE_PATH,
                "convert_to": FileEncoding.RAW_BYTES,
            },
        }
    )

    mv = pairs()
    location = "@my_db.my_schema.my_stage/path/"
    job = mv.run_batch(
        input_df,
        compute_pool="COMPUTE_POOL",
        output_spec=OutputSpec(stage_location=location),
        input_spec=input_spec,
    )
    assert job.wait() is JobStatus.DONE, job.message
    found = same(mv, input_df, location, column_handling={"image_path": RAW, "audio_path": RAW})
    assert found.to_pylist() == [
        {"IMAGE_PATH": one, "AUDIO_PATH": other, "image": b"\xff\xd8", "audio": b"RIFF", "kinds": "bytes, bytes"}
        for one, other in paths
    ]


def test_columns_beside_a_file_column_pass_through(guide: Guide, classifier: Any) -> None:
    for number in (1, 2):
        guide.put(f"img{number}.jpg", media.jpeg(number))
    mv = Registry().log_model(classifier, model_name="image_classifier", version_name="v1")

    # DataFrame with both file paths and metadata
    input_df = pd.DataFrame(
        [
            ["@STAGE/img1.jpg", "outdoor", 0.8],
            ["@STAGE/img2.jpg", "indoor", 0.6],
        ],
        columns=["IMAGE_PATH", "CATEGORY", "CONFIDENCE"],
    )
    # First rename column to match model signature
    input_df = input_df.rename(columns={"IMAGE_PATH": "IMAGES"})

    # Only configure the file column
    input_spec = InputSpec(
        column_handling={
            "IMAGES": {
                "input_format": InputFormat.FULL_STAGE_PATH,
                "convert_to": FileEncoding.RAW_BYTES,
            }
            # CATEGORY and CONFIDENCE pass through as-is
        }
    )

    # Test with 2-3 files first
    test_df = input_df.head(3)

    test_job = mv.run_batch(
        X=test_df,
        compute_pool="COMPUTE_POOL",
        output_spec=OutputSpec(
            stage_location="@my_db.my_schema.my_stage/test/",
            mode=SaveMode.OVERWRITE,
        ),
        input_spec=input_spec,
    )
    assert test_job.wait() is JobStatus.DONE, test_job.message

    # Check results
    results = same(mv, test_df, "@my_db.my_schema.my_stage/test/", column_handling={"IMAGES": RAW})
    assert results.select(["IMAGES", "CATEGORY", "CONFIDENCE"]).to_pydict() == test_df.to_dict("list")
    assert results["outputs"].to_pylist() == [labels(classifier, number) for number in (1, 2)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("DB.SCHEMA.STAGE/img1.jpg", "DB.SCHEMA.STAGE/img1.jpg"),
        ("@DB.SCHEMA.STAGE/none.jpg", "none.jpg"),
    ],
)
def test_a_path_that_leads_nowhere_fails_its_row_and_says_which(
    guide: Guide, classifier: Any, wrong: str, said: str
) -> None:
    guide.put("img1.jpg", media.jpeg(1))
    mv = Registry().log_model(classifier, model_name="image_classifier")
    job = mv.run_batch(
        pd.DataFrame({"IMAGES": ["@DB.SCHEMA.STAGE/img1.jpg", wrong]}),
        compute_pool="COMPUTE_POOL",
        output_spec=OutputSpec(stage_location="@my_db.my_schema.my_stage/path/"),
        input_spec=InputSpec(column_handling={"IMAGES": RAW}),
    )
    assert job.wait() is JobStatus.FAILED
    (error,) = job.errors()
    assert said in error["message"]
    assert not list(guide.output.rglob("_SUCCESS"))
