"""Registered models in jobs: what a job begins with is what it runs, whatever becomes of the registry meanwhile."""

import os
import shutil
import time
from pathlib import Path

import pyarrow as pa
import pytest

import gristmill
from gristmill.errors import ModelError, SpecError
from gristmill.mlflow.log import save_model
from gristmill.mlflow.stored import Told
from gristmill.models.custom import CustomModel, inference_api, inference_functions, signature_of
from gristmill.spec.enums import JobStatus
from gristmill.storage.storage import Storage
from tests.contract.conftest import Bench
from tests.model_registry import ModelRegistry, estimator_folder


class Stamp(CustomModel):
    """Says which version it is. Its first worker waits, and then dies, so that another has to load the model again."""

    def __init__(self, version: int, folder: Path) -> None:
        super().__init__()
        self.version, self.folder = version, folder

    @inference_api(inputs={"id": "int64"}, outputs={"version": "int64"})
    def predict(self, df):
        self.folder.joinpath("began").touch()
        while not self.folder.joinpath("go").exists():
            time.sleep(0.02)
        if not self.folder.joinpath("died").exists():
            self.folder.joinpath("died").touch()
            os._exit(1)
        return [self.version] * len(df)


def placed(bench: Bench, registry: ModelRegistry) -> Bench:
    names = ("registry", "model_cache")
    bench.settings = bench.settings.model_copy(update={name: getattr(registry.settings, name) for name in names})
    return bench


def test_a_registered_model_runs_by_its_signature_and_the_record_says_which(
    bench: Bench, model_registry: ModelRegistry, tmp_path: Path
) -> None:
    reference = model_registry.register("sum", estimator_folder(tmp_path / "model", coefficient=2.0), version_name="v1")
    rows = pa.table({"id": range(50), "B": pa.array(range(50), pa.int32()), "a": [i / 2 for i in range(50)]})
    job = placed(bench, model_registry).run(rows, model="models:/sum/v1", job={"job_name": "sums"})
    assert job.message == "50 rows"
    assert [row["output_feature_0"] for row in bench.rows()] == [3.0 * i for i in range(50)]
    request = job.record.request()
    (entry,) = [path.name for path in model_registry.cache.iterdir() if path.is_dir()]
    assert (request.model, request.registry, request.model_digest) == (reference, None, entry)
    manifest = gristmill.read_manifest(bench.output, settings=bench.settings)
    assert (manifest.model, manifest.model_digest) == (reference, entry)
    with pytest.raises(SpecError, match="b"):
        bench.run(rows.drop_columns(["B"]), model="models:/sum/v1")


def test_a_job_keeps_the_version_that_it_began_with(
    processes: Bench, model_registry: ModelRegistry, tmp_path: Path
) -> None:
    flags = tmp_path / "flags"
    flags.mkdir()
    for version in (1, 2):
        model, folder = Stamp(version, flags), tmp_path / f"version-{version}"
        known = {"predict": signature_of(inference_functions(model)["predict"])}
        save_model(model, "custom", Told("custom", known, "predict"), folder, storage=Storage(processes.settings))
        model_registry.register("stamp", folder)
    client = model_registry.client
    client.set_registered_model_alias("stamp", "champion", "1")
    bench = placed(processes, model_registry)
    job = bench.run(pa.table({"id": range(20)}), model="models:/stamp@champion", job={"block": False})
    while not flags.joinpath("began").exists():
        assert not job.status.is_terminal, job.message
        time.sleep(0.05)
    client.set_registered_model_alias("stamp", "champion", "2")
    shutil.rmtree(model_registry.artifacts_of("models:/stamp/1"))
    client.delete_model_version("stamp", "1")
    flags.joinpath("go").touch()
    assert job.wait(timeout=120) is JobStatus.DONE, job.message
    assert flags.joinpath("died").exists()
    assert {row["version"] for row in bench.rows()} == {1}


def test_a_reference_that_means_another_version_now_is_another_job(
    model_registry: ModelRegistry, tmp_path: Path
) -> None:
    bench = placed(Bench(tmp_path, model_registry.settings, "inline"), model_registry)
    rows = pa.table({"a": [1.0], "b": [1.0]})

    def run() -> tuple[str, float]:
        job = bench.run(rows, model="models:/sum", key="nightly")
        return job.id, bench.rows()[0]["output_feature_0"]

    for coefficient in (1.0, 2.0):
        model_registry.register("sum", estimator_folder(tmp_path / "model", coefficient=coefficient))
    model_registry.client.set_registered_model_alias("sum", "default", "1")
    first = run()
    assert first[1] == 2.0
    assert run() == first
    model_registry.client.set_registered_model_alias("sum", "default", "2")
    second = run()
    assert second[0] != first[0]
    assert second[1] == 4.0


def test_another_registry_than_the_settings_stands_in_the_record(model_registry: ModelRegistry, tmp_path: Path) -> None:
    model_registry.register("sum", estimator_folder(tmp_path / "model"))
    settings = model_registry.settings.model_copy(update={"registry": f"sqlite:///{tmp_path}/none.db"})
    bench = Bench(tmp_path, settings, "inline")
    rows = pa.table({"a": [1.0], "b": [1.0]})
    job = bench.run(rows, model="models:/sum", echo={"registry": model_registry.address})
    assert job.status is JobStatus.DONE
    request = job.record.request()
    assert (request.registry, request.engine_options) == (model_registry.address, {})
    with pytest.raises(SpecError, match=r"inference_engine_options\.registry: only a model that is given as models:"):
        bench.run(rows, echo={"registry": model_registry.address})
    with pytest.raises(ModelError, match="no function 'rank'; it has: predict"):
        bench.run(rows, model="models:/sum", echo={"registry": model_registry.address}, job={"function_name": "rank"})
