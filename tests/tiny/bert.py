"""A tiny BERT that embeds texts, and one that sorts them into three labels."""

from pathlib import Path
from typing import Any

from tests.tiny.tokens import make_tokenizer
from tests.tiny.weights import random_model

__all__ = ["make_bert", "make_bert_classifier"]

SIZES = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 256,
    "max_position_embeddings": 512,
    "initializer_range": 0.1,
}


def make_bert(folder: Path) -> None:
    """Embeddings of 128 numbers, for texts of up to 512 tokens."""
    from transformers import BertConfig, BertModel

    tokenizer = _tokenizer()
    config = BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **SIZES)
    random_model(BertModel, config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_bert_classifier(folder: Path) -> None:
    """Labels `red`, `green` and `blue`."""
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = _tokenizer()
    labels = {0: "red", 1: "green", 2: "blue"}
    config = BertConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        id2label=labels,
        label2id={label: number for number, label in labels.items()},
        **SIZES,
    )
    random_model(BertForSequenceClassification, config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer() -> Any:
    from tokenizers.processors import TemplateProcessing

    tokenizer = make_tokenizer("[CLS]", "[SEP]", model_max_length=SIZES["max_position_embeddings"])
    ends = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return tokenizer
