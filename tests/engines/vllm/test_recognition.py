import json
from pathlib import Path

import pytest

from gristmill.engines.vllm.memory import available_memory
from gristmill.engines.vllm.recognition import answers_chats


def _folder(path: Path, architecture: str, *, template: str | None = "chat_template.jinja") -> str:
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    if template == "tokenizer_config.json":
        (path / template).write_text(json.dumps({"chat_template": "{{ messages }}"}))
    elif template is not None:
        (path / template).write_text("{{ messages }}")
    return str(path)


@pytest.mark.parametrize("template", ["chat_template.jinja", "chat_template.json", "tokenizer_config.json"])
def test_a_model_that_generates_and_has_a_template_answers_chats(tmp_path: Path, template: str) -> None:
    assert answers_chats(_folder(tmp_path / "a", "LlamaForCausalLM", template=template))
    assert answers_chats(_folder(tmp_path / "b", "Qwen2VLForConditionalGeneration", template=template))


def test_other_models_do_not(tmp_path: Path) -> None:
    assert not answers_chats(_folder(tmp_path / "base", "LlamaForCausalLM", template=None))
    assert not answers_chats(_folder(tmp_path / "bert", "BertModel"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("[")
    assert not answers_chats(str(tmp_path / "broken"))
    assert not answers_chats(str(tmp_path / "missing"))


def test_a_model_of_the_hub_that_cannot_be_asked_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert not answers_chats("nobody/has-this-model")


def test_memory_is_counted_in_bytes() -> None:
    assert 16 * 1024**2 < available_memory() < 2**60
