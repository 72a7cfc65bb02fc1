"""A registry of a test's own, in a file: made once for all tests, and copied for each."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gristmill.mlflow.digest import folder_digest
from gristmill.mlflow.pin import DIGEST_TAG, VERSION_NAME_TAG
from gristmill.mlflow.store import client_of
from gristmill.settings import Settings
from gristmill.storage.storage import Storage


@dataclass(frozen=True)
class ModelRegistry:
    """An embedded store, and settings that name it."""

    root: Path
    address: str
    settings: Settings

    @property
    def storage(self) -> Storage:
        return Storage(self.settings)

    @property
    def client(self) -> Any:
        return client_of(self.address)

    @property
    def cache(self) -> Path:
        return Path(str(self.settings.model_cache))

    def register(
        self, name: str, folder: Path, *, version_name: str | None = None, with_digest: bool = True, move: bool = True
    ) -> str:
        """Register a folder of MLflow as the next version; returns its reference. The folder moves into the store."""
        place = folder
        if move:
            place = self.root / "artifacts" / f"{name}-{len(list((self.root / 'artifacts').iterdir()))}"
            shutil.move(folder, place)
        tags = {}
        if with_digest:
            tags[DIGEST_TAG] = folder_digest(place)
        if version_name is not None:
            tags[VERSION_NAME_TAG] = version_name
        if not any(model.name == name for model in self.client.search_registered_models()):
            self.client.create_registered_model(name)
        version = self.client.create_model_version(name, str(place), tags=tags)
        return f"models:/{name}/{version.version}"

    def artifacts_of(self, reference: str) -> Path:
        _, name, number = reference.split("/")
        return Path(self.client.get_model_version_download_uri(name, number))


def estimator_folder(folder: Path, *, coefficient: float = 1.0, **options: Any) -> Path:
    """A folder of plain MLflow with a linear model: the sum of `a` and `b`, times a number."""
    import mlflow.sklearn
    import numpy as np
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import LinearRegression

    rows = pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": [1.0, 0.0, 5.0]})
    model = LinearRegression().fit(rows, coefficient * (rows["a"] + rows["b"]))
    model.coef_, model.intercept_ = np.array([coefficient, coefficient]), 0.0
    options.setdefault("signature", infer_signature(rows, model.predict(rows)))
    mlflow.sklearn.save_model(
        model, str(folder), serialization_format="cloudpickle", pip_requirements=["scikit-learn"], **options
    )
    return folder


def tiny_folder(folder: Path, files: Mapping[str, str] | None = None) -> Path:
    """A folder with an MLmodel file, of a model that nothing can run."""
    folder.mkdir(parents=True)
    for name, text in {"MLmodel": "flavors: {}\n", **(files or {})}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture(scope="session")
def registry_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty store: making its tables takes seconds."""
    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    client_of(f"sqlite:///{path}")
    return path


@pytest.fixture
def model_registry(tmp_path: Path, registry_template: Path, settings: Settings) -> ModelRegistry:
    """An empty registry of the test's own."""
    root = tmp_path / "registry"
    (root / "artifacts").mkdir(parents=True)
    shutil.copy(registry_template, root / "mlflow.db")
    address = f"sqlite:///{root / 'mlflow.db'}"
    mine = settings.model_copy(update={"registry": address, "model_cache": str(tmp_path / "cache")})
    return ModelRegistry(root, address, mine)
