"""What an engine's own processes print reaches the job, and says why they did not start."""

import io
import subprocess
import sys
from contextlib import redirect_stderr

import pytest
from tests.preloaded import Preloaded

from gristmill.engines.vllm.output import heard_processes
from gristmill.errors import GristmillError, ModelError
from gristmill.storage.storage import Storage


def _print(text: str) -> None:
    subprocess.run([sys.executable, "-c", f"import sys; sys.stderr.write({text!r})"], check=True)


def test_what_a_process_prints_is_passed_on_and_its_last_error_is_the_reason(
    capfd: pytest.CaptureFixture[str],
) -> None:
    said = io.StringIO()
    with redirect_stderr(said), heard_processes() as heard:
        _print(
            "(EngineCore) ERROR \x1b[0;36m vllm.errors.SomeError: no room\x1b[0m\n"
            "RuntimeError: Engine core initialization failed.\n"
        )
    assert heard.reason() == "vllm.errors.SomeError: no room"
    assert "no room" in said.getvalue()
    _print("afterwards")
    assert capfd.readouterr().err == "afterwards"


def test_a_process_whose_output_nobody_captures_prints_where_it_would(capfd: pytest.CaptureFixture[str]) -> None:
    with heard_processes() as heard:
        _print("all is well\n")
    assert heard.reason() is None
    assert capfd.readouterr().err == "all is well\n"


def test_an_engine_process_that_does_not_start_says_why(vllm_process: Preloaded, llama: str, storage: Storage) -> None:
    error = vllm_process.call(_failing_start, f"hf:{llama}", storage)
    assert isinstance(error, ModelError)
    assert "vLLM ran out of memory when it started: RuntimeError: Worker failed with error 'Available" in str(error)


def _failing_start(model: str, storage: Storage) -> GristmillError | None:
    """An engine in a process of its own whose cache is larger than the machine's memory."""
    import os

    import pyarrow as pa

    from gristmill.engines.protocol import LoadContext
    from gristmill.engines.vllm.engine import VllmEngine

    os.environ.pop("VLLM_CPU_KVCACHE_SPACE")
    options = {
        "engine_mode": "own_process",
        "engine_args_override": [f"--kv-cache-memory-bytes={2**50}", "--enforce-eager"],
    }
    try:
        VllmEngine().load(LoadContext(model, "chat", storage, pa.schema({"messages": pa.string()}), options=options))
    except GristmillError as error:
        return error
    return None
