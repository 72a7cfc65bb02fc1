"""How plain MLflow loads the models whose form is Gristmill's own: `mlflow.pyfunc.load_model`."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from gristmill.engines.protocol import BatchModel, LoadContext
from gristmill.engines.registry import engine_for
from gristmill.errors import ModelError
from gristmill.mlflow.resolved import localized
from gristmill.mlflow.stored import StoredModel
from gristmill.models.example import example_of
from gristmill.models.params import check_params
from gristmill.settings import Settings
from gristmill.spec.engine import EngineOptions
from gristmill.storage.storage import Storage

__all__ = ["StoredFunction"]


class StoredFunction:
    """The default function of a stored model, run as a job runs it.

    Args:
        folder: the model's folder.

    Raises:
        ModelError: the model has several functions and no default, or runs as a service only.
    """

    def __init__(self, folder: str) -> None:
        stored = StoredModel.read(folder)
        self._storage = Storage(Settings.load())
        name = stored.default_function or (next(iter(stored.functions)) if len(stored.functions) == 1 else None)
        if name is None or stored.functions[name].is_chat:
            raise ModelError(
                f"the model in {folder!r} has no one function over frames ({', '.join(stored.functions) or 'none'}); "
                "run it with gristmill: run_batch, or a service"
            )
        self._name, self._signature = name, stored.functions[name]
        here = localized(f"mlflow:{folder}", self._storage)
        self._reference, self._options = here.reference, {} if here.task is None else {"task": here.task}
        self._models: dict[bytes, BatchModel] = {}
        self._lock = threading.Lock()

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Any:
        """The function's outputs for a frame, as a pandas frame."""
        table = example_of(model_input, prefix="input_feature").combine_chunks()
        values = check_params(params, self._signature)
        # several where text or bytes are more than one array holds
        batches = table.to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)]
        with self._lock:
            model = self._loaded(table.schema, values)
            return pa.Table.from_batches([model.infer(batch) for batch in batches]).to_pandas()

    def _loaded(self, schema: pa.Schema, params: dict[str, Any]) -> BatchModel:
        key = schema.serialize().to_pybytes() + repr(params).encode()
        if key not in self._models:
            for model in self._models.values():
                model.close()
            self._models.clear()  # one copy of the weights
            context = LoadContext(
                model=self._reference,
                function=self._name,
                storage=self._storage,
                input_schema=schema,
                params=params,
                options=self._options,
            )
            engine = engine_for(self._reference, EngineOptions.of(None))
            self._models[key] = engine.load(context)  # type: ignore[assignment]
        return self._models[key]


def _load_pyfunc(path: str) -> StoredFunction:
    """What MLflow calls."""
    return StoredFunction(str(Path(path)))
