"""Tables of a guide: estimators from the registry over frames, queries and files, and what a job spec says."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gristmill
from gristmill import JobSpec, JobStatus, ModelVersion, OutputSpec, Registry, SaveMode, query
from gristmill.errors import OutputExistsError, SchemaError
from tests.contract.guide import Guide, same
from tests.contract.guide import guide as guide

FEATURES = ["feature_1", "feature_2", "feature_3", "feature_4"]
LOCATION = "@my_db.my_schema.my_stage/output/"


@pytest.fixture(scope="module")
def iris() -> pd.DataFrame:
    """Flowers with their kinds, as scikit-learn has them."""
    from sklearn.datasets import load_iris

    rows, kinds = load_iris(return_X_y=True)
    return pd.DataFrame(rows, columns=FEATURES).assign(kind=kinds)


def classifier(iris: pd.DataFrame) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=0).fit(iris[FEATURES], iris["kind"])


def boosted_classifier(iris: pd.DataFrame) -> Any:
    from xgboost import XGBClassifier

    return XGBClassifier(n_estimators=4, n_jobs=1).fit(iris[FEATURES], iris["kind"])


def regressor(iris: pd.DataFrame) -> Any:
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit(iris[FEATURES], iris["kind"] / 2)


def boosted_regressor(iris: pd.DataFrame) -> Any:
    from xgboost import XGBRegressor

    return XGBRegressor(n_estimators=4, n_jobs=1).fit(iris[FEATURES], iris["kind"] / 2)


@pytest.fixture
def tree(guide: Guide, iris: pd.DataFrame) -> ModelVersion:
    return Registry().log_model(
        classifier(iris), model_name="MY_MODEL", version_name="V1", sample_input_data=iris[FEATURES]
    )


@pytest.mark.usefixtures("guide")
@pytest.mark.parametrize(
    ("fitted", "kind"),
    [
        (classifier, pa.types.is_integer),
        (boosted_classifier, pa.types.is_integer),
        (regressor, pa.types.is_floating),
        (boosted_regressor, pa.types.is_floating),
    ],
)
def test_predictions_stand_in_a_column_of_the_models_kind(iris: pd.DataFrame, fitted: Any, kind: Any) -> None:
    model = fitted(iris)
    Registry().log_model(model, model_name="MODEL_NAME", version_name="VERSION", sample_input_data=iris[FEATURES])

    reg = Registry()
    mv = reg.get_model("MODEL_NAME").version("VERSION")

    input_df = pd.DataFrame(
        [
            (5.1, 3.5, 1.4, 0.2),
            (4.9, 3.0, 1.4, 0.2),
            (6.3, 3.3, 6.0, 2.5),
        ],
        columns=["feature_1", "feature_2", "feature_3", "feature_4"],
    )
    output_location = "@my_db.my_schema.my_stage/output/"

    job = mv.run_batch(
        X=input_df,
        compute_pool="CPU_POOL",
        output_spec=OutputSpec(
            stage_location=output_location,
            mode=SaveMode.OVERWRITE,
        ),
        job_spec=JobSpec(),  # Omit function_name if model has only one function
    )

    assert job.wait() is JobStatus.DONE, job.message

    results_df = same(mv, input_df, output_location)
    assert results_df.column_names == [*FEATURES, "output_feature_0"]
    assert kind(results_df.schema.field("output_feature_0").type)
    assert results_df["output_feature_0"].to_pylist() == model.predict(input_df).tolist()


def test_two_replicas_of_two_workers_run_another_function_in_order(tree: ModelVersion, iris: pd.DataFrame) -> None:
    mv = tree
    assert {"predict", "predict_proba"} <= {row["name"] for row in mv.show_functions().collect()}
    input_df = iris.sample(1000, replace=True, random_state=0, ignore_index=True)

    job = mv.run_batch(
        X=input_df,
        compute_pool="COMPUTE_POOL",
        output_spec=OutputSpec(
            stage_location=LOCATION,
            mode=SaveMode.OVERWRITE,
        ),
        job_spec=JobSpec(
            function_name="predict_proba",  # Optional if model has only one function
            replicas=2,
            num_workers=2,
        ),
    )

    assert job.wait() is JobStatus.DONE, job.message
    assert job.target_instances == 2
    results = same(mv, input_df, LOCATION, function_name="predict_proba").to_pandas()
    assert results["kind"].tolist() == input_df["kind"].tolist()
    found = results[[f"output_feature_{place}" for place in range(3)]].to_numpy()
    assert np.array_equal(found, classifier(iris).predict_proba(input_df[FEATURES]))


def test_a_job_spec_names_the_job_and_bounds_its_resources(tree: ModelVersion, iris: pd.DataFrame) -> None:
    mv, input_df = tree, iris

    job_spec = JobSpec(
        job_name="my_inference_job",
        cpu_requests="2",
        memory_requests="8GiB",
        max_batch_rows=2048,
        replicas=2,
    )

    job = mv.run_batch(
        X=input_df,
        compute_pool="my_compute_pool",
        output_spec=OutputSpec(stage_location="@my_db.my_schema.my_stage/path/"),
        job_spec=job_spec,
    )
    assert job.wait() is JobStatus.DONE, job.message
    assert (job.name, job.target_instances) == ("my_inference_job", 2)
    assert same(mv, input_df, "@my_db.my_schema.my_stage/path/", max_batch_rows=2048).num_rows == len(iris)


def test_rows_come_from_a_query_and_from_files(guide: Guide, tree: ModelVersion, iris: pd.DataFrame) -> None:
    feature_table = guide.stage / "some" / "path"
    feature_table.mkdir(parents=True)
    table = pa.Table.from_pandas(iris.assign(id1=range(len(iris))), preserve_index=False)
    pq.write_table(table, feature_table / "my_file_1.parquet")

    # providing input from a query
    X = query(  # noqa: N806 - the name of the guide
        "SELECT id1 AS id, * FROM '@DB.SCHEMA.STAGE/some/path/*file*.parquet' WHERE feature_1 > 7"
    )
    job = tree.run_batch(X, compute_pool="COMPUTE_POOL", output_spec=OutputSpec(stage_location=LOCATION))
    assert job.wait() is JobStatus.DONE, job.message
    wide = iris[iris["feature_1"] > 7]
    predicted = classifier(iris).predict(wide[FEATURES]).tolist()
    found = gristmill.read_output(LOCATION)
    assert found.select(["id", "output_feature_0"]).to_pydict() == {
        "id": wide.index.tolist(),
        "output_feature_0": predicted,
    }

    # reading from parquet files
    job = tree.run_batch(
        input_stage_location="@DB.SCHEMA.STAGE/some/path",
        compute_pool="COMPUTE_POOL",
        output_spec=OutputSpec(stage_location=LOCATION, mode=SaveMode.OVERWRITE),
    )
    assert job.wait() is JobStatus.DONE, job.message
    assert gristmill.read_output(LOCATION).num_rows == len(iris)


def test_an_output_that_exists_is_refused_in_the_safe_mode_and_replaced_in_the_other(
    guide: Guide, tree: ModelVersion, iris: pd.DataFrame
) -> None:
    # Safe production pattern
    output_spec = OutputSpec(
        stage_location=LOCATION,
        mode=SaveMode.ERROR,  # Fail if output exists (prevents overwriting)
    )
    how = {"compute_pool": "COMPUTE_POOL", "job_spec": JobSpec(block=True)}
    assert tree.run_batch(iris, output_spec=output_spec, **how).status is JobStatus.DONE
    before = {path.name: path.stat().st_mtime_ns for path in (guide.output / "output").iterdir()}
    assert "_SUCCESS" in before
    with pytest.raises(OutputExistsError, match="a finished output"):
        tree.run_batch(iris.head(2), output_spec=output_spec, **how)
    assert {path.name: path.stat().st_mtime_ns for path in (guide.output / "output").iterdir()} == before

    replacing = OutputSpec(stage_location=LOCATION, mode=SaveMode.OVERWRITE)
    assert tree.run_batch(iris.head(2), output_spec=replacing, **how).status is JobStatus.DONE
    assert gristmill.read_output(LOCATION).num_rows == 2


def test_columns_that_do_not_match_the_signature_are_refused_with_all_that_is_wrong(
    guide: Guide, tree: ModelVersion, iris: pd.DataFrame
) -> None:
    wrong = iris.rename(columns={"feature_1": "f1", "feature_3": "f3"})
    with pytest.raises(SchemaError, match="feature_1.*feature_3"):
        tree.run_batch(wrong, compute_pool="COMPUTE_POOL", output_spec=OutputSpec(stage_location=LOCATION))
    with pytest.raises(SchemaError, match="feature_1.*feature_3"):
        tree.run(wrong)
    assert not list(guide.output.iterdir())


def test_a_frame_in_is_a_frame_out_with_the_predictions_of_a_job(tree: ModelVersion, iris: pd.DataFrame) -> None:
    found = tree.run(iris, function_name="predict")
    assert isinstance(found, pd.DataFrame)
    job = tree.run_batch(iris, compute_pool="COMPUTE_POOL", output_spec=OutputSpec(stage_location=LOCATION))
    assert job.wait() is JobStatus.DONE, job.message
    pd.testing.assert_frame_equal(found, gristmill.read_output(LOCATION).to_pandas())
