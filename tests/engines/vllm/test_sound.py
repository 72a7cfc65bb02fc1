"""How rates of sounds are changed where torchaudio is not installed."""

import pyarrow as pa
import pytest
from tests.preloaded import Preloaded

from gristmill.engines.protocol import LoadContext
from gristmill.engines.vllm.engine import VllmEngine
from gristmill.engines.vllm.library.sound import way_to_resample
from gristmill.errors import GristmillError, ModelError
from gristmill.storage.storage import Storage


def test_the_best_way_that_is_installed_is_taken() -> None:
    assert way_to_resample({"soxr": True, "scipy": True, "pyav": True}) == "soxr"
    assert way_to_resample({"soxr": False, "scipy": False, "pyav": True}) == "pyav"
    with pytest.raises(ModelError, match="pip install soxr"):
        way_to_resample({"soxr": False, "scipy": False, "pyav": False})


def _load_without(model: str, storage: Storage, options: list[str]) -> GristmillError | None:
    """What loading says where nothing that changes rates can be imported."""
    from vllm.multimodal import audio
    from vllm.utils.import_utils import PlaceholderModule

    for name in ("torchaudio", "soxr", "scipy_signal", "av"):
        setattr(audio, name, PlaceholderModule(name))
    context = LoadContext(
        f"hf:{model}",
        "chat",
        storage,
        pa.schema({"messages": pa.string()}),
        options={"engine_args_override": ["--enforce-eager", *options]},
    )
    try:
        VllmEngine().load(context).close()
    except GristmillError as error:
        return error
    return None


def test_a_model_that_hears_is_not_loaded_where_no_sound_could_be_read(
    vllm_process: Preloaded, qwen2_audio: str, storage: Storage
) -> None:
    error = vllm_process.call(_load_without, qwen2_audio, storage, [])
    assert isinstance(error, ModelError)
    assert "pip install soxr" in str(error)
    assert vllm_process.call(_load_without, qwen2_audio, storage, ["--limit-mm-per-prompt.audio=0"]) is None
