"""Services end, and nothing of them is left; what is not theirs is left alone."""

import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tests.processes import lives
from tests.services.conftest import Keys, Serve, ask

import gristmill
from gristmill.errors import AccessError, ServiceNotFoundError
from gristmill.jobs.process import process_of
from gristmill.services.status import ServiceStatus
from gristmill.settings import Settings


def test_dropping_ends_all_processes_and_forgets_the_service(serve: Serve, keys: Keys, settings: Settings) -> None:
    service = serve()
    processes = service.facts()["processes"]
    assert len(processes) == 2
    gristmill.drop_service("CHAT", settings=settings)
    assert not any(lives(pid) for pid in processes)
    assert not (Path(settings.home) / "services" / "chat").exists()
    assert not keys()
    with pytest.raises(ServiceNotFoundError):
        gristmill.drop_service("chat", settings=settings)
    with pytest.raises(ServiceNotFoundError):
        service.status  # noqa: B018 - it is asked


def test_a_server_whose_keeper_was_killed_is_ended_by_dropping_it(serve: Serve) -> None:
    service = serve()
    keeper, server = service.facts()["processes"]
    subprocess.run(["kill", "-9", str(keeper)], check=True)
    while lives(keeper):
        time.sleep(0.01)
    assert service.status is ServiceStatus.FAILED
    service.drop()
    assert not lives(server)


def test_starting_a_service_again_ends_what_its_last_server_left_behind(serve: Serve, tmp_path: Path) -> None:
    service = serve(timeout=0.01, block=False)
    service.wait()
    start = service.record.newest()
    # a keeper whose server has an engine, as the kernel leaves them when the keeper is killed
    engine = tmp_path / "engine"
    script = (
        "import subprocess, sys, time; one = subprocess.Popen(['sleep', '600']);"
        "open(sys.argv[1], 'w').write(str(one.pid)); time.sleep(600)"
    )
    keeper = subprocess.Popen([sys.executable, "-c", script, str(engine)], start_new_session=True)
    while not engine.exists() or not engine.read_text():
        time.sleep(0.01)
    process = process_of(keeper.pid)
    keeper.kill()
    keeper.wait()
    assert lives(int(engine.read_text()))
    start.write_state(replace(start.state(), status=ServiceStatus.RUNNING, process=process, server={}))
    assert serve().status is ServiceStatus.RUNNING
    assert not lives(int(engine.read_text()))


def test_a_service_killed_in_the_middle_of_a_request_fails_the_request_and_is_not_running(serve: Serve) -> None:
    service = serve()
    keeper, server = service.facts()["processes"]
    subprocess.run(["kill", "-STOP", str(server)], check=True)  # it takes the request, and does not answer yet
    failed: list[Exception] = []

    def request() -> None:
        try:
            ask(service.base_url, "/chat/completions", {"messages": []}, key=key)
        except OSError as error:
            failed.append(error)

    key = service.api_key
    thread = threading.Thread(target=request)
    thread.start()
    time.sleep(0.2)
    subprocess.run(["kill", "-9", str(server)], check=True)
    thread.join(30)
    assert len(failed) == 1
    while lives(server):  # its connections end a moment before it does
        time.sleep(0.01)
    assert service.status is ServiceStatus.FAILED
    while lives(keeper):
        time.sleep(0.01)
    assert service.message == "its server ended with signal SIGKILL"
    (told,) = gristmill.list_services(settings=service.record.storage.settings).collect()
    assert told["status"] == "FAILED"


def test_a_process_that_has_the_number_of_another_is_left_alone(serve: Serve) -> None:
    service = serve(timeout=0.01, block=False)
    service.wait()
    start = service.record.newest()
    while any(lives(int(each["pid"])) for each in (start.state().process, start.state().server) if each):
        time.sleep(0.01)
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        reused = {**process_of(stranger.pid), "started": "1"}
        start.write_state(replace(start.state(), status=ServiceStatus.RUNNING, process=reused, server=reused))
        assert service.status is ServiceStatus.FAILED
        service.drop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_service_of_another_machine_is_asked_to_end(serve: Serve, settings: Settings) -> None:
    service = serve(timeout=0.01, block=False)
    service.wait()
    start = service.record.newest()
    ended = start.state()
    far = {"host": "far", "boot": "b", "namespace": "n", "pid": 1, "started": "1"}
    start.write_state(replace(ended, status=ServiceStatus.RUNNING, process=far, server=far, time=time.time()))
    assert service.status is ServiceStatus.RUNNING

    def its_keeper() -> None:
        while not start.stop_is_asked():
            time.sleep(0.01)
        start.write_state(ended)

    keeper = threading.Thread(target=its_keeper)
    keeper.start()
    gristmill.drop_service("chat", settings=settings)
    keeper.join()
    assert gristmill.list_services(settings=settings).collect() == []


def test_a_service_of_a_machine_that_is_gone_is_forgotten(serve: Serve, settings: Settings) -> None:
    service = serve(timeout=0.01, block=False)
    service.wait()
    start = service.record.newest()
    far = {"host": "far", "boot": "b", "namespace": "n", "pid": 1, "started": "1"}
    long_ago = time.time() - 3600
    start.write_state(replace(start.state(), status=ServiceStatus.RUNNING, process=far, server=far, time=long_ago))
    assert service.message.startswith("its process is gone; its last sign of life is 36")
    gristmill.drop_service("chat", settings=settings)
    assert gristmill.list_services(settings=settings).collect() == []


def test_a_key_that_is_elsewhere_is_said_to_be(serve: Serve, keys: Keys) -> None:
    service = serve()
    for key in keys():
        key.unlink()
    with pytest.raises(AccessError, match="service 'chat': its key is kept on .* name it in settings.endpoints"):
        service.api_key  # noqa: B018 - it is asked
