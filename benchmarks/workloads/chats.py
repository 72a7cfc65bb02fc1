"""Chats with a model that runs here, on vLLM: short ones, ones that share long prefixes, and ones with an image."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.workloads.workload import DATA, Dataset, Workload

__all__ = ["CPU", "ChatWorkload", "ImageChats", "PrefixChats"]

CPU = MappingProxyType(
    {
        "enforce_eager": True,
        "kv_cache_memory_bytes": 1 << 30,
        "max_model_len": 2048,
        "max_num_batched_tokens": 4096,  # this and the next are the defaults of `LLM`
        "max_num_seqs": 256,
    }
)
"""What vLLM gets from everybody on a CPU."""


class ChatWorkload(Workload):
    """Short chats, each another one; 32 tokens come back, whatever the model says.

    Attributes:
        model: the name of a tiny model of the tests.
        engine_args: what vLLM gets from everybody, under the names of `EngineArgs`.
        output_tokens: of each answer.
        alike: the share of answers that must be the first contestant's: what is computed in other batches is rounded
            in other places, and the likeliest token may be another one then.
        stages: folders by the name of their stage.
        gpus: GPUs that a replica asks for.
    """

    rows = 2_000
    batch_rows = 256
    look = 0.5  # vLLM's threads wait for each other in each step: whoever takes a processor holds up all of them
    model = "llama"
    engine_args: Mapping[str, Any] = CPU
    output_tokens = 32
    alike = 0.9
    stages: Mapping[str, str] = MappingProxyType({})
    gpus: int | None = None

    def __init__(self, name: str = "chat") -> None:
        self.name = name

    @property
    def reference(self) -> str:
        """A folder, always the same: a link to where the tests keep the model."""
        return str(DATA / "models" / self.model)

    def dataset(self, rows: int, *, files: int = 1) -> Dataset:
        """Conversations as JSON text."""
        return Dataset(rows, self.folder / f"{rows}-in-{files}", ("id", "messages"), alike=self.alike)

    def ready(self, rows: int) -> Dataset:
        """The same for those who open no files: media stand in the messages."""
        return self.dataset(rows)

    def prepare(self, rows: int) -> Dataset:
        """One Parquet file, the same rows in fifty, and the model."""
        self.prepare_model()
        for files in (1, 50):
            _write(self.dataset(rows, files=files), self.conversation, files=files)
        return self.dataset(rows)

    def prepare_model(self) -> None:
        """Make the model, unless it is there."""
        from tests.tiny.models import model_folder

        folder, link = model_folder(self.model), Path(self.reference)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink() or link.readlink() != folder:
            link.unlink(missing_ok=True)
            link.symlink_to(folder)

    def conversation(self, number: int) -> list[dict[str, Any]]:
        """The messages of a row."""
        text = f"Order {number} of customer {number * 7919 % 10_007} arrived {number % 30} days late. Why? Say it"
        return [
            {"role": "system", "content": "You sort complaints: late, broken, wrong, other."},
            {"role": "user", "content": f"{text} in {number % 13} words."},
        ]


class PrefixChats(ChatWorkload):
    """200 long beginnings, each with ten ends; a cache that holds about a half of the beginnings.

    Args:
        name: the workload's name.
        shuffled: rows in any order; otherwise each is followed by those of all other beginnings.
    """

    engine_args = MappingProxyType({**CPU, "block_size": 32, "num_gpu_blocks_override": 1500})
    prefixes = 200
    numbers = 95
    """That a beginning consists of; each is about four tokens."""

    def __init__(self, name: str = "prefix", *, shuffled: bool = False) -> None:
        super().__init__(name)
        self._shuffled = shuffled

    def conversation(self, number: int) -> list[dict[str, Any]]:
        """A system message of about 400 tokens, and a short question."""
        import random

        if self._shuffled:
            number = number * 7_368_787 % 1_299_709  # a prime: an order of its own for any number of rows
        prefix = number % self.prefixes
        words = random.Random(prefix).choices(range(10_000), k=self.numbers)
        return [
            {"role": "system", "content": f"Guide {prefix}. {' '.join(map(str, words))}"},
            {"role": "user", "content": f"Question {number}: why?"},
        ]


class ImageChats(ChatWorkload):
    """A question about a small PNG that the row names by its path on a stage."""

    rows = 1_000
    model = "idefics3"
    side = 48

    def __init__(self, name: str = "images") -> None:
        super().__init__(name)
        self.files = self.folder / "files"
        self.stages = MappingProxyType({"bench_images": str(self.files)})

    def ready(self, rows: int) -> Dataset:
        """With data URLs."""
        return Dataset(rows, self.folder / f"{rows}-ready", ("id", "messages"), alike=self.alike)

    def prepare(self, rows: int) -> Dataset:
        """Noise in 48 x 48 pixels, about 7 kB each, and the conversations twice: with paths and with data URLs."""
        import base64

        import numpy as np
        from PIL import Image

        self.files.mkdir(parents=True, exist_ok=True)
        for number in range(rows):
            path = self.files / f"{number:05}.png"
            if not path.is_file():
                pixels = np.random.default_rng(number).integers(0, 256, (self.side, self.side, 3), np.uint8)
                Image.fromarray(pixels).save(path)

        def with_content(number: int) -> list[dict[str, Any]]:
            content = base64.b64encode((self.files / f"{number:05}.png").read_bytes()).decode()
            return self.conversation(number, url=f"data:image/png;base64,{content}")

        _write(self.ready(rows), with_content, files=1)
        return super().prepare(rows)

    def conversation(self, number: int, *, url: str | None = None) -> list[dict[str, Any]]:
        """A text and an image."""
        image = {"url": url or f"@bench_images/{number:05}.png"}
        parts = [{"type": "text", "text": f"What is in picture {number}?"}, {"type": "image_url", "image_url": image}]
        return [{"role": "user", "content": parts}]


def _write(dataset: Dataset, conversation: Any, *, files: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if dataset.inputs.is_dir():
        return
    partial = dataset.inputs.with_suffix(".partial")
    partial.mkdir(parents=True, exist_ok=True)
    step = -(-dataset.rows // files)
    for part, start in enumerate(range(0, dataset.rows, step)):
        ids = range(start, min(start + step, dataset.rows))
        texts = [json.dumps(conversation(number)) for number in ids]
        pq.write_table(pa.table({"id": pa.array(ids, pa.int64()), "messages": texts}), partial / f"{part:03}.parquet")
    partial.rename(dataset.inputs)
