"""What is refused before anything of a service is written."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.model_registry import ModelRegistry, tiny_folder
from tests.services.conftest import Keys, Serve

import gristmill
from gristmill.errors import GristmillError, LocationError, ModelError, SpecError
from gristmill.services.checks import check_service
from gristmill.settings import Settings
from gristmill.storage.storage import Storage


def _model(folder: Path, architecture: str, *, template: bool = True) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    if template:
        (folder / "chat_template.jinja").write_text("{{ messages }}")
    return folder


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": ""}, "name: a service's name has letters"),
        ({"name": "a/b"}, "name: a service's name has letters"),
        ({"name": ".."}, "name: a service's name has letters"),
        ({"name": "a.b.c.d"}, "up to two names before it"),
        ({"name": "x" * 129}, "at most 128 characters"),
        ({"pool": "inline"}, "pool: 'inline' runs in this process"),
        ({"pool": "nowhere"}, "there is no pool 'nowhere'"),
        ({"replicas": 2}, "replicas=2: the pool 'local' runs one copy"),
        ({"replicas": 0}, "replicas"),
        ({"gpu_requests": 0.5}, "gpu_requests=0.5: a service on this machine has whole GPUs"),
        ({"memory_requests": "8GiB"}, "memory_requests: nothing bounds the memory"),
        ({"port": 0}, "is not a port"),
        ({"port": 65_536}, "is not a port"),
        ({"host": "127.0.0.1/x"}, "is not an address to listen at"),
        ({"host": "192.0.2.77"}, "host: this machine has no address '192.0.2.77'"),
        ({"timeout": 0}, "timeout"),
        ({"api_key": "short"}, "api_key: has fewer than 16 characters"),
        ({"api_key": "a key with spaces in it"}, "api_key: holds a line break, a space"),
        ({"served_model_name": "two words"}, "is no name for a model"),
        ({"engine_args_override": ["--max-model-len=9"]}, "'echo:chat' takes no arguments"),
        ({"engine_args_override": "--max-model-len=9"}, "engine_args_override: must be a list"),
        ({"model": "echo:"}, "model 'echo:': a service answers chats"),
        ({"model": "python:shop.models:Ranker"}, "a service answers chats"),
        ({"model": lambda df: df}, "model: an object"),
    ],
)
def test_a_request_that_cannot_be_right_is_refused_and_leaves_nothing(
    serve: Serve, keys: Keys, settings: Settings, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(SpecError, match=re.escape(said)):
        serve(**options)
    assert not (Path(settings.home) / "services").exists()
    assert not keys()


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--port=1", "engine_args_override[0]: --port belongs to the service"),
        ("--api-key=x", "engine_args_override[0]: --api-key belongs to the service"),
        ("--ssl-keyfile=x", "belongs to the service (--ssl-*)"),
        ("--served-model-name=x", "engine_args_override: --served-model-name cannot be set: give served_model_name"),
        ("--uds=/tmp/x", "--uds cannot be set: a service listens at a host and a port"),
        ("--headless", "--headless cannot be set"),
        ("--trust-remote-code", "give trust_remote_code=True and leave the argument out"),
        ("--hf-token=x", "--hf-token holds a secret"),
        ("max-model-len", "an argument begins with '--'"),
    ],
)
def test_arguments_that_are_the_services_own_are_refused(
    serve: Serve, tmp_path: Path, argument: str, said: str
) -> None:
    model = _model(tmp_path / "model", "LlamaForCausalLM")
    with pytest.raises(SpecError, match=re.escape(said)) as caught:
        serve(model=model, engine_args_override=[argument])
    assert "inference_engine_options" not in str(caught.value)


def test_a_model_that_answers_no_chats_is_refused(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not generate text, as its config.json says"):
        serve(model=_model(tmp_path / "bert", "BertModel"))
    with pytest.raises(ModelError, match="has no chat template; give one with --chat-template"):
        serve(model=_model(tmp_path / "base", "LlamaForCausalLM", template=False))


def test_a_registered_model_is_served_from_its_files_and_only_where_it_is_a_language_model(
    model_registry: ModelRegistry, tmp_path: Path
) -> None:
    config = json.dumps({"architectures": ["LlamaForCausalLM"]})
    files = {
        "MLmodel": _mlmodel(form="checkpoint", task="text-generation"),
        "checkpoint/config.json": config,
        "checkpoint/chat_template.jinja": "{{ messages }}",
    }
    model_registry.register("qwen", tiny_folder(tmp_path / "qwen", files))
    model_registry.register("prices", tiny_folder(tmp_path / "prices", {"MLmodel": _mlmodel(form="custom")}))
    storage = model_registry.storage
    how = {"pool": "local", "engine_args_override": [], "served_model_name": None}
    checked = check_service(storage, str(tmp_path / "home"), "models:/qwen", **how)
    assert (checked.request.model, checked.request.served_model) == ("models:/qwen/1", "qwen")
    assert checked.request.digest is not None
    assert checked.local_model is not None
    assert checked.local_model.startswith(f"hf:{model_registry.cache}/")
    with pytest.raises(ModelError, match="model 'models:/prices/1' is not a checkpoint of a language model"):
        check_service(storage, str(tmp_path / "home"), "models:/prices", **how)
    cluster = {"far": gristmill.PoolSettings(kind="ray", address="http://far.example:8265")}
    far = Storage(model_registry.settings.model_copy(update={"pools": cluster}))
    with pytest.raises(SpecError, match="is on this machine's disk, which the pool's cluster cannot reach"):
        check_service(far, str(tmp_path / "home"), "models:/qwen", **{**how, "pool": "far"})


def _mlmodel(**entries: str) -> str:
    told = {"version": 1, "functions": {}, "default_function": None, **entries}
    return json.dumps({"flavors": {}, "metadata": {"gristmill": told}})  # JSON is YAML


def test_a_home_that_cannot_hold_a_service_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for home, kind in (("memory://home", SpecError), (str(tmp_path / "file"), LocationError)):
        with pytest.raises(kind, match="settings.home"):
            gristmill.create_service("chat", "echo:chat", pool="local", settings=Settings(home=home))


def test_there_is_no_service_of_a_name_that_nobody_gave(settings: Settings) -> None:
    for call in (gristmill.get_service, gristmill.describe_service, gristmill.drop_service):
        with pytest.raises(GristmillError, match="there is no service 'chat' in .*; there are: none"):
            call("chat", settings=settings)
    gristmill.drop_service("chat", missing_ok=True, settings=settings)
