"""Arguments of vLLM's server, and what it makes of a model with them, before anything is loaded."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, NoReturn

from gristmill.engines.vllm.library.release import SUPPORTED
from gristmill.errors import ModelError, SpecError

__all__ = ["Setup", "Traits", "first_words", "parse_arguments", "traits"]

_TEMPLATE = frozenset({"chat_template", "chat_template_content_format", "default_chat_template_kwargs"})
_SEEDS = 2**32
"""NumPy has no seeds of this size or below 0, and vLLM gives them to it."""


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
    from vllm.exceptions import VLLMError
    from vllm.renderers.chat_utils import load_chat_template
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
        load_chat_template(parsed.chat_template)
    except SpecError:
        raise
    except (ValueError, TypeError, OSError, VLLMError) as error:
        raise SpecError(f"{field}: {error}") from error
    _check_bounds(engine, {known.get(argument.partition("=")[0]) for argument in arguments}, field=field)
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


def _check_bounds(engine: Any, names: Container[str | None], *, field: str) -> None:
    """Refuse numbers that vLLM would refuse when it starts, by the bounds that stand in its own configurations.

    Args:
        engine: the arguments.
        names: of those that were given.
        field: names them in errors.
    """
    from pydantic import TypeAdapter, ValidationError
    from vllm.config import CacheConfig, LoRAConfig, ParallelConfig, SchedulerConfig

    for config in (CacheConfig, LoRAConfig, ParallelConfig, SchedulerConfig):
        for name, info in config.__pydantic_fields__.items():
            value = getattr(engine, name, None)
            if name not in names or not info.metadata or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            try:
                bounded: Any = Annotated[type(value), *info.metadata]
                TypeAdapter(bounded).validate_python(value)
            except ValidationError as error:
                said = error.errors()[0]["msg"]
                raise SpecError(f"{field}: --{name.replace('_', '-')}={value}: {said}") from error
    if "seed" in names and not 0 <= engine.seed < _SEEDS:
        raise SpecError(f"{field}: --seed={engine.seed}: must be at least 0 and less than {_SEEDS}")


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
    from vllm.exceptions import VLLMError

    try:
        config = setup.engine.create_model_config()
    except (ValueError, OSError, RuntimeError, ImportError, VLLMError) as error:  # pydantic's errors are ValueErrors
        raise ModelError(f"model {model!r}: vLLM cannot run it: {first_words(error)}") from error
    classifies = config.convert_type == "classify" or any("Classification" in name for name in config.architectures)
    labels = getattr(config.hf_config, "id2label", None) or {}
    return Traits(
        name=config.served_model_name,
        generates=config.runner_type == "generate",
        classifies=classifies,
        labels={int(key): str(name) for key, name in labels.items()},
    )


def first_words(error: Exception) -> str:
    """A validation error's message without pydantic's frame around it."""
    errors = getattr(error, "errors", None)
    if callable(errors):
        found = errors(include_url=False, include_input=False, include_context=False)
        return "; ".join(
            ": ".join([*map(str, one["loc"][:1]), str(one["msg"]).removeprefix("Value error, ")]) for one in found
        )
    return str(error)
