import pytest

from gristmill.errors import SpecError
from gristmill.spec.engine import EngineOptions, check_engine_args
from gristmill.spec.enums import InferenceEngine


def test_nothing_given_leaves_the_engine_to_the_model() -> None:
    options = EngineOptions.of(None)
    assert (options.engine, options.engine_args_override, options.for_engine()) == (None, (), {})


@pytest.mark.parametrize("written", [InferenceEngine.PYTHON_GENERIC, "python_generic", " Python_Generic "])
def test_an_engine_is_named_by_member_or_text_in_any_case(written: object) -> None:
    assert EngineOptions.of({"engine": written}).engine == "python_generic"


def test_an_engine_that_is_known_but_not_installed_passes_the_spec() -> None:
    assert EngineOptions.of({"engine": "vllm"}).engine == "vllm"


def test_an_unknown_engine_is_refused_with_the_installed_ones() -> None:
    with pytest.raises(SpecError, match=r"inference_engine_options\.engine: 'tgi' is not known.*echo, openai, python"):
        EngineOptions.of({"engine": "tgi"})
    with pytest.raises(SpecError, match=r"engine: must be a name \(given: 3\)"):
        EngineOptions.of({"engine": 3})


def test_other_keys_are_the_engines_own_and_arguments_reach_it_with_them() -> None:
    options = EngineOptions.of({"engine": "vllm", "engine_args_override": ["--max-model-len=7048"], "task": "chat"})
    assert options.options == {"task": "chat"}
    assert options.for_engine() == {"task": "chat", "engine_args_override": ["--max-model-len=7048"]}


def test_options_are_the_same_after_a_round_trip() -> None:
    options = EngineOptions.of({"engine": "echo", "column": "id"})
    assert EngineOptions.of(options) == options
    assert EngineOptions.model_validate(options.model_dump(mode="json")) == options


def test_something_else_than_a_dict_is_refused() -> None:
    with pytest.raises(SpecError, match="must be a dict"):
        EngineOptions.of(["vllm"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "argument",
    ["--max-model-len=7048", "--max-model-len 7048", "--enforce-eager", " --dtype=half ", "--max-num-seqs=8"],
)
def test_arguments_of_the_model_pass_in_every_form(argument: str) -> None:
    assert check_engine_args([argument]) == (argument.strip(),)


@pytest.mark.parametrize("argument", ["max-model-len=7048", "-tp=2", "--", "", "7048", "---port=1"])
def test_an_argument_begins_with_two_dashes(argument: str) -> None:
    with pytest.raises(SpecError, match=r"engine_args_override\[0\]: an argument begins with '--'"):
        check_engine_args([argument])


def test_a_value_apart_from_its_argument_is_refused_with_the_way_out() -> None:
    with pytest.raises(SpecError, match=r"\[1\].*value of --max-model-len, write the two as one text"):
        check_engine_args(["--max-model-len", "7048"])


OWNED = [
    *("host", "port", "api-key", "allowed-headers", "ssl-keyfile", "ssl-certfile", "ssl-ca-certs", "ssl-cert-reqs"),
    *("enable-ssl-refresh", "root-path", "middleware", "lora-modules", "prompt-adapter", "enable-lora"),
    *("disable-frontend-multiprocessing", "log-config-file"),
]


@pytest.mark.parametrize("name", OWNED)
@pytest.mark.parametrize("form", ["--{}", "--{}=x", "--{} x", "--no-{}", " --{}=x"])
def test_an_argument_that_the_service_owns_is_refused_in_every_form(name: str, form: str) -> None:
    for spelled in (name, name.replace("-", "_"), name.upper()):
        with pytest.raises(SpecError, match="belongs to the service"):
            check_engine_args(["--max-model-len=1", form.format(spelled)])


@pytest.mark.parametrize("argument", ["--hos=0.0.0.0", "--allowed-h=x", "--enable-lor"])
def test_a_shortened_name_of_an_owned_argument_is_refused(argument: str) -> None:
    with pytest.raises(SpecError, match="belongs to the service"):
        check_engine_args([argument])


@pytest.mark.parametrize("given", ["--a=b", {"--a": "b"}, 3, [3]])
def test_arguments_are_a_list_of_texts(given: object) -> None:
    with pytest.raises(SpecError, match="engine_args_override"):
        EngineOptions.of({"engine_args_override": given})


@pytest.mark.parametrize(
    "key", ["api_key", "API-KEY", "hf_token", "token", "password", "authorization", "openai_api_key"]
)
def test_a_secret_is_refused_and_not_repeated(key: str) -> None:
    for given in ({key: "hunter2"}, {"headers": {key: "hunter2"}}, {"engine_args_override": [f"--{key}=hunter2"]}):
        with pytest.raises(SpecError) as caught:
            EngineOptions.of(given)
        assert key in str(caught.value)
        assert "hunter2" not in str(caught.value)


def test_a_secret_does_not_come_in_by_the_constructor_either() -> None:
    with pytest.raises(SpecError, match=r"api_key: a secret.*settings") as caught:
        EngineOptions(options={"api_key": "hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("key", ["max_tokens", "max_new_tokens", "tokenizer", "stop_token"])
def test_counts_of_tokens_are_no_secrets(key: str) -> None:
    assert EngineOptions.of({key: 3}).options == {key: 3}
