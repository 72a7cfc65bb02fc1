"""LoRA adapters whose files are not whole, that do not fit the model, or that are more than vLLM has places for."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.engines.vllm.conftest import ARGUMENTS
from tests.preloaded import Preloaded

import gristmill
from gristmill.engines.vllm.adapters import adapter_folders
from gristmill.errors import ModelError
from gristmill.storage.storage import Storage

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def copy(adapters: dict[str, str], tmp_path: Path) -> Path:
    """An adapter whose files may be changed."""
    return Path(shutil.copytree(adapters["a"], tmp_path / "adapter"))


def _remove(file: Path) -> None:
    file.unlink()


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _fill_with_text(file: Path) -> None:
    file.write_text("version https://git-lfs.github.com/spec/v1\n" * 3)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (_remove, "there is no adapter_model.safetensors in"),
        (_cut, "is damaged"),
        (_empty, "is damaged"),
        (_fill_with_text, "is damaged"),
    ],
)
def test_weights_that_are_not_whole_are_refused_before_anything_is_loaded(
    copy: Path, storage: Storage, harm: Callable[[Path], None], said: str
) -> None:
    assert adapter_folders({"legal": str(copy)}, storage) == {"legal": str(copy)}
    harm(copy / WEIGHTS)
    with pytest.raises(ModelError, match=rf"adapters\.legal: .*{said}") as caught:
        adapter_folders({"legal": str(copy)}, storage)
    assert str(copy) in str(caught.value)


def test_weights_in_another_form_are_left_to_vllm(copy: Path, storage: Storage) -> None:
    (copy / WEIGHTS).rename(copy / "adapter_model.bin")
    assert adapter_folders({"legal": str(copy)}, storage)


def test_weights_without_any_are_refused(copy: Path, storage: Storage) -> None:
    from safetensors.numpy import save_file

    save_file({}, copy / WEIGHTS)
    with pytest.raises(ModelError, match="holds no weights"):
        adapter_folders({"legal": str(copy)}, storage)


def widen(folder: Path) -> None:
    """Make an adapter one for a model that is twice as wide."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / WEIGHTS)
    wide = {name: tensor.repeat(1, 2) if "lora_A" in name else tensor for name, tensor in tensors.items()}
    save_file({name: tensor.contiguous() for name, tensor in wide.items()}, folder / WEIGHTS)


@pytest.mark.parametrize("mode", ["in_process", "own_process"])
def test_an_adapter_of_another_model_fails_the_job_at_once_and_is_named(
    mode: str, llama: str, adapters: dict[str, str], copy: Path, run_job: Callable[..., Any]
) -> None:
    widen(copy)
    outcome = run_job(
        llama,
        pa.table({"prompt": ["Hi"] * 40, "model": ["a"] * 40}),
        engine={
            "engine_mode": mode,
            "adapters": {**adapters, "wide": str(copy)},
            "param_columns": ["model"],
            "output_prefix": "chat_",
        },
        on_error="record",
        max_errors=1_000,
    )
    assert outcome.status is gristmill.JobStatus.FAILED
    assert "adapters.wide: vLLM cannot load" in outcome.message
    assert str(copy) in outcome.message
    assert not re.search(r"died", outcome.message)


def test_more_adapters_than_places_are_loaded_and_answer_as_each_alone(
    llama: str, adapters: dict[str, str], vllm_process: Preloaded, answers: Callable[..., list[str]]
) -> None:
    conversation = [{"role": "user", "content": "What is a list?"}]
    named = ["a", "b", "a"]
    said = vllm_process.call(_answers_in_one_place, llama, adapters, conversation, named)
    alone = {
        alias: answers(llama, [conversation], adapter=adapters[alias], temperature=0, max_tokens=12)[0]
        for alias in adapters
    }
    assert said == [alone[alias] for alias in named]
    assert alone["a"] != alone["b"]


def _answers_in_one_place(
    model: str, folders: dict[str, str], conversation: list[dict[str, Any]], named: list[str]
) -> list[str]:
    """The answers of adapters, one after the other, of an engine that holds one at a time."""
    from gristmill.engines.vllm import library

    places = ["--enable-lora", "--max-loras=1", "--max-cpu-loras=1", "--max-lora-rank=8"]
    library.prepare_process(in_process=True, threads=1)
    setup = library.parse_arguments([f"--model={model}", *ARGUMENTS, *places], field="here")
    known = {alias: library.Adapter(alias, number, folder) for number, (alias, folder) in enumerate(folders.items(), 1)}
    engine = library.open_in_process(setup, known.values())
    prepared = engine.prepare({"temperature": 0, "max_completion_tokens": 12})
    texts = []
    for number, alias in enumerate(named):
        engine.add(str(number), engine.render(conversation, prepared), prepared, known[alias])
        while not (finished := engine.step()):
            pass
        texts += [prepared.answer(output).choices[0].text for output in finished]
    engine.close()
    return texts
