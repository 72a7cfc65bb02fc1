"""A service on a real vLLM server, started as users start it."""

from pathlib import Path

import pyarrow as pa
import pytest
from tests.chat_service import ChatService
from tests.services.conftest import ask, says

import gristmill


def test_a_chat_model_is_served_to_those_who_have_the_key(chat_service: ChatService) -> None:
    service = chat_service.service
    assert service.status is gristmill.ServiceStatus.RUNNING
    assert says(service, "hello")
    (told,) = gristmill.list_services(settings=chat_service.settings).collect()
    assert (told["name"], told["status"], told["served_model"]) == ("chat", "RUNNING", "tiny")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/invocations", "/tokenize", "/metrics", "/openapi.json"])
def test_nothing_but_the_health_is_told_without_the_key(chat_service: ChatService, path: str) -> None:
    root = chat_service.service.base_url.removesuffix("/v1")
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}
    assert ask(root, path, body)[0] == 401
    assert ask(root, path)[0] == 401
    assert ask(root, "/health")[0] == 200


def test_its_key_is_on_no_command_line_and_in_no_file_of_its_home(chat_service: ChatService) -> None:
    service = chat_service.service
    key = service.api_key.encode()
    for pid in service.facts()["processes"]:
        assert key not in Path(f"/proc/{pid}/cmdline").read_bytes()
    files = [path for path in Path(chat_service.settings.home).rglob("*") if path.is_file()]
    assert len(files) == 3
    assert not any(key in path.read_bytes() for path in files)


def test_a_job_runs_on_it(chat_service: ChatService, tmp_path: Path) -> None:
    job = gristmill.run_batch(
        "openai:tiny",
        pa.table({"prompt": ["one", "two", "three"]}),
        compute_pool="inline",
        output_spec=gristmill.OutputSpec(location=tmp_path / "output"),
        input_spec=gristmill.InputSpec(params={"max_completion_tokens": 4}),
        job_spec=gristmill.JobSpec(block=True),
        inference_engine_options={"endpoint": "chat"},
        settings=chat_service.settings,
    )
    assert job.status is gristmill.JobStatus.DONE, job.message
    said = gristmill.read_output(tmp_path / "output", text=True, settings=chat_service.settings)["response"]
    assert all(said.to_pylist())
