import pytest

from gristmill.spec.enums import FileEncoding, InferenceEngine, InputFormat, JobStatus, OnError, SaveMode


def test_members_have_the_values_that_users_write() -> None:
    assert {mode.name: mode.value for mode in SaveMode} == {"OVERWRITE": "overwrite", "ERROR": "error"}
    assert {kind.name: kind.value for kind in InputFormat} == {"FULL_STAGE_PATH": "full_stage_path"}
    assert {kind.name: kind.value for kind in FileEncoding} == {
        "RAW_BYTES": "raw_bytes",
        "BASE64": "base64",
        "BASE64_DATA_URL": "base64_data_url",
    }
    assert {engine.name: engine.value for engine in InferenceEngine} == {
        "VLLM": "vllm",
        "PYTHON_GENERIC": "python_generic",
    }
    assert {mode.value for mode in OnError} == {"fail", "record"}


def test_five_of_the_eight_states_of_a_job_are_terminal() -> None:
    assert {status.name for status in JobStatus if not status.is_terminal} == {"PENDING", "RUNNING", "CANCELLING"}
    assert {status.name for status in JobStatus if status.is_terminal} == {
        *("DONE", "FAILED", "CANCELLED", "INTERNAL_ERROR", "DELETED")
    }


@pytest.mark.parametrize("written", [InferenceEngine.VLLM, "vllm", "VLLM", "  vLLM ", "Vllm"])
def test_an_engine_is_found_from_a_member_or_from_text_in_any_case(written: str) -> None:
    assert InferenceEngine.from_value(written) is InferenceEngine.VLLM


def test_an_engine_is_found_by_its_members_name_too() -> None:
    assert InferenceEngine.from_value("Python_Generic") is InferenceEngine.PYTHON_GENERIC


def test_an_unknown_engine_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'tgi' is not known.*vllm, python_generic"):
        InferenceEngine.from_value("tgi")
