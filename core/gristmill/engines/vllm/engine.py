"""The engine `vllm`."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gristmill.chat.form import CHAT_OPTIONS, check_chat_options, response_form
from gristmill.chat.params import CHAT_PARAMS, split_params
from gristmill.chat.signature import chat_signature
from gristmill.engines.protocol import BatchModel, LoadContext, ModelInfo, RowModel
from gristmill.engines.vllm import library
from gristmill.engines.vllm.adapters import adapter_folders, adapter_places, adapter_rank
from gristmill.engines.vllm.arguments import FIELD, engine_arguments, gpus_asked, logprobs_asked, spreads
from gristmill.engines.vllm.chat import ChatModel
from gristmill.engines.vllm.failure import start_failure
from gristmill.engines.vllm.output import Heard, heard_processes
from gristmill.engines.vllm.pooling import CLASSIFY, EMBED, PoolingModel
from gristmill.engines.vllm.recognition import answers_chats
from gristmill.engines.vllm.running import InProcess, OutOfProcess
from gristmill.errors import ModelError, SpecError
from gristmill.mlflow.checkpoint import checkpoint_folder
from gristmill.mlflow.stored import StoredModel
from gristmill.models.reference import parse_reference
from gristmill.models.signature import Bounds, Param, Signature
from gristmill.storage.storage import Storage

__all__ = ["VllmEngine"]

_MODES = ("in_process", "own_process")


class VllmEngine:
    """Runs transformers models on vLLM: chats by rows, embeddings and classes by batches.

    Options:
        engine_args_override: arguments of vLLM's server, such as `["--max-model-len=4096"]`.
        engine_mode: `in_process` runs vLLM in the worker itself, `own_process` its engine in a process of its own; by
            default the first on CPUs and the second on GPUs.
        adapters: LoRA adapters, folders by alias; a row takes the one that its param `model` names.
        trust_remote_code: let the model's own files run code.
        param_columns: params that are columns of the input, for each row.
        response_column: the name of one more column, with the text of the first choice.
        output_prefix: goes before the names of the response's columns.
        prefix_grouping: False leaves rows in the order of the input, and does not send those that begin alike together.
        window: rows in flight (twice the engine's `--max-num-seqs`).
    """

    name = "vllm"
    option_names = CHAT_OPTIONS | {"adapters", "engine_args_override", "engine_mode", "trust_remote_code"}

    def handles(self, model: str) -> bool:
        """Whether the reference is a chat model, as far as its files on this machine tell, and vLLM is installed."""
        reference = parse_reference(model)
        return reference.scheme == "hf" and library.is_installed() and answers_chats(reference.target)

    def describe(self, model: str, options: Mapping[str, Any], storage: Storage) -> ModelInfo:
        """What the model does, as its configuration and vLLM's own parser of arguments see it."""
        target = _target(model, storage)
        library.check_installed(need=f"model {model!r}")
        _check_options(options)
        adapters = adapter_folders(options.get("adapters"), storage)
        ranks = [adapter_rank(folder, alias=alias) for alias, folder in adapters.items()]
        arguments = engine_arguments(target, options, gpus=0, on_cpu=library.is_cpu(), ranks=ranks)
        traits = library.traits(library.parse_arguments(arguments, field=FIELD), model=model)
        _check_aliases(adapters, {target, traits.name})
        functions = _functions(options, traits=traits, names=(traits.name, target, *adapters))
        return _info(functions, options, by_row=traits.generates)

    def assume(self, model: str, options: Mapping[str, Any], storage: Storage) -> ModelInfo:
        """A model that chats, embeds and classifies: only vLLM can tell which of them it does."""
        _check_options(options)
        target = _target(model, storage)
        adapters = adapter_places(options.get("adapters"), storage)
        _check_aliases(adapters, {target})
        engine_arguments(target, options, gpus=0, on_cpu=False)
        return _info({"chat": _chat(options), "embed": EMBED, "classify": CLASSIFY}, options, by_row=True)

    def load(self, context: LoadContext) -> BatchModel | RowModel:
        """The model on a running engine."""
        target = _target(context.model, context.storage)
        library.check_installed(need=f"model {context.model!r}")
        if spreads(context.options) and not library.knows_ray():
            raise ModelError(
                f"model {context.model!r}: --distributed-executor-backend=ray: vLLM's Ray executor does not know this "
                "machine's kind of device, only such as GPUs; leave the argument out"
            )
        in_process = _mode(context) == "in_process"
        library.prepare_process(in_process=in_process, threads=context.threads, with_ray=spreads(context.options))
        adapters = _adapters(context)
        ranks = [adapter_rank(one.folder, alias=one.alias) for one in adapters.values()]
        setup = library.parse_arguments(
            engine_arguments(
                target,
                context.options,
                gpus=context.gpus,
                workers=context.workers,
                on_cpu=library.is_cpu(),
                ranks=ranks,
            ),
            field=FIELD,
        )
        traits = library.traits(setup, model=context.model)
        known = _functions(context.options, traits=traits)
        if context.function not in known:
            raise ModelError(f"model {context.model!r}: has no function {context.function!r}, only {', '.join(known)}")
        engine: library.InProcessEngine | library.AsyncEngine | library.PoolingEngine
        heard = Heard()
        try:
            if in_process and traits.generates:
                engine = library.open_in_process(setup, adapters.values())
            elif in_process:
                engine = library.open_pooling(setup)
            else:
                with heard_processes() as heard:
                    engine = library.open_async(setup) if traits.generates else library.open_pooling(setup)
        except ModelError:
            raise
        except Exception as error:
            raise start_failure(error, model=context.model, reason=heard.reason()) from error
        if isinstance(engine, library.PoolingEngine):
            return PoolingModel(engine, context, labels=traits.labels)
        running = (
            InProcess(engine)
            if isinstance(engine, library.InProcessEngine)
            else OutOfProcess(engine, adapters.values())
        )
        return ChatModel(running, context, adapters=adapters, names=(traits.name, target))


def _target(model: str, storage: Storage) -> str:
    """What vLLM is given: a name or a folder; of a transformers model that MLflow has stored, its parts in one."""
    reference = parse_reference(model)
    if reference.scheme == "hf":
        return reference.target
    if reference.scheme == "mlflow":
        found = checkpoint_folder(StoredModel.read(reference.target), storage.settings)
        if found is not None:
            return found
    raise ModelError(
        f"model {model!r}: the engine vllm runs hf: models (org/name or a folder), and registered ones that are "
        "transformers models with their weights"
    )


def _check_options(options: Mapping[str, Any]) -> None:
    mode = options.get("engine_mode")
    if mode is not None and mode not in _MODES:
        raise SpecError(f"inference_engine_options.engine_mode: must be one of {', '.join(_MODES)} (given: {mode!r})")
    if mode == "in_process" and not _fits_one_process(options):
        raise SpecError(
            "inference_engine_options.engine_mode: 'in_process' is one process, and the engine's arguments place the "
            "model in several; leave out engine_mode, or these arguments"
        )
    check_chat_options(options)


def _fits_one_process(options: Mapping[str, Any]) -> bool:
    return not spreads(options) and gpus_asked(options) in (None, 1)


def _check_aliases(adapters: Mapping[str, str], names: set[str]) -> None:
    taken = sorted(names & adapters.keys())
    if taken:
        raise SpecError(
            f"inference_engine_options.adapters: {taken[0]!r} is the name of the model itself; give another alias"
        )


def _functions(
    options: Mapping[str, Any], *, traits: library.Traits, names: tuple[str, ...] = ()
) -> dict[str, Signature]:
    if not traits.generates:
        return {"classify": CLASSIFY} if traits.classifies else {"embed": EMBED}
    return {"chat": _chat(options, names)}


def _chat(options: Mapping[str, Any], names: tuple[str, ...] = ()) -> Signature:
    """The function's signature; its `model` is one of some names, where they are known."""
    choices, bounds = tuple(dict.fromkeys(names)), _logprobs(options)

    def own(param: Param) -> Param:
        if param.name == "model":
            return replace(param, choices=choices)
        return replace(param, bounds=bounds) if param.name == "top_logprobs" else param

    params, inputs = split_params(options.get("param_columns"), [own(param) for param in CHAT_PARAMS])
    return chat_signature(outputs=response_form({}, options).schema, params=params, inputs=inputs)


def _logprobs(options: Mapping[str, Any]) -> Bounds | None:
    most = logprobs_asked(options)
    return None if most is None else Bounds(0, most, "vLLM's --max-logprobs in engine_args_override")


def _info(functions: Mapping[str, Signature], options: Mapping[str, Any], *, by_row: bool) -> ModelInfo:
    return ModelInfo(
        functions, next(iter(functions)), by_row=by_row, preload=library.PRELOAD, is_alone=True,
        gpus=gpus_asked(options), spreads=spreads(options),
    )  # fmt: skip


def _mode(context: LoadContext) -> str:
    mode = context.options.get("engine_mode")
    if mode is not None:
        return str(mode)
    return "in_process" if library.is_cpu() and _fits_one_process(context.options) else "own_process"


def _adapters(context: LoadContext) -> dict[str, library.Adapter]:
    folders = adapter_folders(context.options.get("adapters"), context.storage)
    numbers = itertools.count(1)
    return {alias: library.Adapter(alias, next(numbers), folder) for alias, folder in folders.items()}
