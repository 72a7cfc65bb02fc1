"""Chats with Qwen3 in its real sizes, with weights that mean nothing: what a GPU takes for them is the same."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.workloads.chats import CPU, ChatWorkload

__all__ = ["SIZES", "SizedChats"]

_SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4},
    "0.6B": {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16},
    "1.7B": {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16},
    "4B": {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32},
    "8B": {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32},
}
SIZES = tuple(_SHAPES)
"""The one that a CPU can do comes first."""

_VOCABULARY = 151_936
_GPU = MappingProxyType(
    {
        "load_format": "dummy",
        "max_model_len": 4096,
        "max_num_batched_tokens": 16_384,  # this and the next are the defaults of `LLM` on an H100
        "max_num_seqs": 1024,
    }
)


class SizedChats(ChatWorkload):
    """Prompts of about 256 tokens, all different, and 256 tokens back.

    Args:
        size: one of `SIZES`; `tiny` is for CPUs, to see that all works, and its answers are shorter.
    """

    alike = 0.0  # what is likeliest of what means nothing is decided by rounding

    def __init__(self, size: str) -> None:
        super().__init__(f"gpu_{size}")
        self._size = size
        is_tiny = size == "tiny"
        self.rows = 200 if is_tiny else 4_000
        self.output_tokens = 32 if is_tiny else 256
        self.gpus = None if is_tiny else 1
        self.engine_args: Mapping[str, Any] = {**CPU, "load_format": "dummy"} if is_tiny else _GPU
        self.model = f"qwen3-{size}"

    def prepare_model(self) -> None:
        """A configuration, and a tokenizer with as many tokens as the model has."""
        folder = Path(self.reference)
        if folder.is_dir():
            return
        from tests.tiny.tokens import chat_template, make_tokenizer, token_ids
        from transformers import Qwen3Config

        is_tiny = self._size == "tiny"
        tokenizer = make_tokenizer(template=chat_template())
        if not is_tiny:
            tokenizer = _enlarged(tokenizer)
        shape = _SHAPES[self._size]
        config = Qwen3Config(
            **shape,
            **token_ids(tokenizer),
            head_dim=64 if is_tiny else 128,
            num_key_value_heads=2 if is_tiny else 8,
            max_position_embeddings=40_960,
            rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
            tie_word_embeddings=self._size != "8B",
            architectures=["Qwen3ForCausalLM"],
            dtype="bfloat16",
        )
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        tokenizer.save_pretrained(partial)
        config.save_pretrained(partial)
        partial.rename(folder)

    def conversation(self, number: int) -> list[dict[str, Any]]:
        """The messages of a row."""
        import random

        digits = " ".join(str(one) for one in random.Random(number).choices(range(10_000), k=55))
        return [{"role": "user", "content": f"Case {number}: {digits}. Go on."}]


def _enlarged(tokenizer: Any) -> Any:
    """The same tokenizer with as many tokens as Qwen3's; the new ones only come out of the model."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    written = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = written["model"]["vocab"]
    vocabulary |= {f"x{number:06}": number for number in range(len(vocabulary), _VOCABULARY)}
    larger = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(written)),
        eos_token=tokenizer.eos_token,
        pad_token=tokenizer.pad_token,
    )
    larger.chat_template = tokenizer.chat_template
    return larger
