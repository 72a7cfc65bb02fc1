"""Services are created, attached to, and started again."""

import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.conftest import S3Server
from tests.processes import lives
from tests.services.conftest import Keys, Serve, ask, says

import gristmill
from gristmill.errors import ConflictError, ServiceFailedError, SpecError
from gristmill.services.keys import log_folder
from gristmill.settings import Settings
from gristmill.storage.storage import Storage


def test_a_service_answers_those_who_have_its_key(serve: Serve) -> None:
    service = serve("Chat")
    assert (service.name, service.status, service.model, service.served_model) == (
        "chat",
        gristmill.ServiceStatus.RUNNING,
        "echo:chat",
        "echo",
    )
    assert service.base_url.startswith("http://127.0.0.1:")
    assert says(service, "Grüezi 🦊") == "Grüezi 🦊"
    for key in (None, "wrong", service.api_key + "x"):
        body = {"messages": [{"role": "user", "content": "hello"}]}
        assert ask(service.base_url, "/chat/completions", body, key=key)[0] == 401
        assert ask(service.base_url, "/models", key=key)[0] == 401


def test_a_key_stands_in_a_file_of_its_user_alone(serve: Serve, keys: Keys, settings: Settings) -> None:
    service = serve()
    says(service, "hello")
    key = service.api_key
    (file,) = keys()
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (key, 0o600)
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    home = [path for path in Path(settings.home).rglob("*") if path.is_file()]
    assert {path.name for path in home} == {"claim.json", "state.json", "server.log"}
    assert not any(key.encode() in path.read_bytes() for path in home)
    for pid in service.facts()["processes"]:
        assert key not in Path(f"/proc/{pid}/cmdline").read_text()
    assert key not in repr(service) + str(service.facts())
    # another process of this user
    script = f"import gristmill; print(gristmill.get_service('CHAT').api_key == {key!r})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    service.drop()
    assert not file.exists()


def test_the_same_service_is_attached_to_and_another_is_refused(serve: Serve) -> None:
    service = serve(api_key="k" * 20, timeout=60)
    again = serve(api_key="k" * 20, timeout=90)
    assert (again.base_url, again.api_key) == (service.base_url, "k" * 20)
    assert serve().base_url == service.base_url
    with pytest.raises(ConflictError, match="with another served_model, port; drop_service"):
        serve(served_model_name="other", port=1)
    with pytest.raises(ConflictError, match="with another api_key") as caught:
        serve(api_key="another-key-of-mine")
    assert "another-key-of-mine" not in str(caught.value)
    assert service.record.newest().number == 1


def test_of_creators_at_the_same_moment_one_starts_the_service(serve: Serve, keys: Keys) -> None:
    with ThreadPoolExecutor(4) as threads:
        services = list(threads.map(lambda _: serve(), range(4)))
    assert len({service.base_url for service in services}) == 1
    assert len({service.api_key for service in services}) == 1
    assert services[0].record.newest().number == 1
    assert len(keys()) == 1


def test_a_service_that_has_ended_is_started_again_with_its_key(serve: Serve) -> None:
    first = serve()
    key, (keeper, server) = first.api_key, first.facts()["processes"]
    subprocess.run(["kill", "-9", str(server)], check=True)
    while lives(keeper):  # it says how its server ended, and ends
        pass
    assert first.status is gristmill.ServiceStatus.FAILED
    assert first.message == "its server ended with signal SIGKILL"
    second = serve(served_model_name="changed")
    assert (second.api_key, second.served_model) == (key, "changed")
    assert second.record.newest().number == 2
    assert says(second, "hello") == "hello"


def test_another_key_takes_the_place_of_the_one_before(serve: Serve, keys: Keys) -> None:
    service = serve(timeout=0.01, block=False)
    service.wait()
    first = service.api_key
    second = serve(api_key="a-key-of-my-own-for-it")
    assert (second.api_key, second.api_key != first) == ("a-key-of-my-own-for-it", True)
    assert len(keys()) == 1


def test_a_service_with_a_home_on_object_storage(s3: S3Server) -> None:
    settings = s3.settings.model_copy(update={"home": f"{s3.root}/home"})
    service = gristmill.create_service("chat", "echo:chat", pool="local", settings=settings)
    try:
        assert says(service, "hello") == "hello"
        assert "keeper: answers after" in service.logs()
        keeper, server = service.facts()["processes"]
        subprocess.run(["kill", "-9", str(server)], check=True)
        while lives(keeper):
            time.sleep(0.01)
        assert service.message == "its server ended with signal SIGKILL"
        stored = Storage(settings)
        (log,) = [file for file in stored.list(f"{s3.root}/home") if file.location.endswith("server.log")]
        assert b"keeper: FAILED" in stored.read_bytes(log.location)  # for other machines, once it has ended
    finally:
        gristmill.drop_service("chat", settings=settings)
    assert list(Storage(settings).list(f"{s3.root}/home")) == []
    assert not log_folder(str(settings.home), "chat").exists()


def test_services_of_one_name_in_two_homes_on_object_storage_have_logs_of_their_own(s3: S3Server, state: Path) -> None:
    homes = [s3.settings.model_copy(update={"home": f"{s3.root}/{name}"}) for name in ("one", "other")]
    services = [gristmill.create_service("chat", "echo:chat", pool="local", settings=home) for home in homes]
    try:
        services[0].drop()
        assert "keeper: answers after" in services[1].logs()
    finally:
        gristmill.drop_service("chat", settings=homes[1])
    assert [path for path in state.rglob("*") if path.is_file()] == []


def test_a_port_that_is_taken_is_refused(serve: Serve, keys: Keys) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConflictError, match=f"port: something listens at {port} of 127.0.0.1 already"):
            serve(port=port)
        assert not keys()
    service = serve(port=port)
    assert service.base_url == f"http://127.0.0.1:{port}/v1"


def test_a_service_that_does_not_answer_in_time_is_ended(serve: Serve) -> None:
    with pytest.raises(ServiceFailedError, match=r"did not answer within 0.01 s(.|\n)*the end of its log:\n.*keeper"):
        serve(timeout=0.01)
    service = serve("other", timeout=0.01, block=False)
    assert service.wait() is gristmill.ServiceStatus.FAILED
    (keeper,) = service.facts()["processes"] or (0,)
    while lives(keeper):
        pass
    assert service.facts()["processes"] == []


def test_waiting_for_a_service_that_still_starts_gives_up_in_time(serve: Serve) -> None:
    service = serve(block=False)
    with pytest.raises(TimeoutError, match="service 'chat' still starts after 0 s; it goes on"):
        service.wait(0)
    assert service.wait(60) is gristmill.ServiceStatus.RUNNING


def test_a_job_takes_a_service_for_its_endpoint(serve: Serve, settings: Settings, tmp_path: Path) -> None:
    import pyarrow as pa

    service = serve()
    options = {
        "compute_pool": "local",
        "output_spec": gristmill.OutputSpec(location=tmp_path / "output"),
        "inference_engine_options": {"endpoint": "chat"},
        "settings": settings,
    }
    job = gristmill.run_batch("openai:echo", pa.table({"prompt": ["one", "two"]}), **options)
    assert job.wait() is gristmill.JobStatus.DONE, job.message
    output = gristmill.read_output(tmp_path / "output", text=True, settings=settings)
    assert output["response"].to_pylist() == ["one", "two"]
    assert not any(
        service.api_key.encode() in path.read_bytes() for path in Path(settings.home).rglob("*") if path.is_file()
    )
    cluster = settings.model_copy(
        update={"pools": {"far": gristmill.PoolSettings(kind="ray", address="http://far.example:8265")}}
    )
    with pytest.raises(SpecError, match="is a service whose key stays on its machine"):
        gristmill.run_batch(
            "openai:echo", pa.table({"prompt": ["x"]}), **{**options, "settings": cluster, "compute_pool": "far"}
        )
