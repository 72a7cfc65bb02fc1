"""What the tests of engines share: the context of a load, and small models built on the spot."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gristmill.engines.protocol import LoadContext
from gristmill.storage.storage import Storage

Context = Callable[..., LoadContext]


@pytest.fixture
def context(storage: Storage) -> Context:
    """Builds the context of a load for a batch's schema."""

    def build(
        batch: pa.RecordBatch, *, model: str = "python:x:y", function: str = "predict", **more: Any
    ) -> LoadContext:
        return LoadContext(model=model, function=function, storage=storage, input_schema=batch.schema, **more)

    return build


@pytest.fixture(scope="session")
def text_classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny BERT of random weights that sorts texts into two labels."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "very"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(words), id2label={0: "NO", 1: "YES"}, label2id={"NO": 0, "YES": 1}, **sizes)
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def image_classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny ViT of random weights that sorts images into three labels."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    folder = tmp_path_factory.mktemp("vit")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = ViTConfig(image_size=16, patch_size=8, id2label={0: "a", 1: "b", 2: "c"}, **sizes)
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder
