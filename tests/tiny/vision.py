"""A tiny Idefics3: images in, text out."""

from pathlib import Path

from tests.tiny.tokens import chat_template, make_tokenizer, token_ids
from tests.tiny.weights import DECODER, random_model

__all__ = ["make_idefics3"]

SIDE = 56
"""Pixels of an image's longer side, after scaling: 16 patches of 14, four to a token."""


def make_idefics3(folder: Path) -> None:
    """A chat model that sees images; it needs no torchvision."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor, LlamaConfig
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    markers = ("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *tiles)
    tokenizer = make_tokenizer(*markers, template=chat_template(image="<image>"))
    config = Idefics3Config(
        vision_config={
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 14,
            "initializer_range": 0.1,
        },
        text_config=LlamaConfig(**DECODER, head_dim=64, **token_ids(tokenizer)),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
        tie_word_embeddings=False,
    )
    random_model(Idefics3ForConditionalGeneration, config).save_pretrained(folder)
    size = {"longest_edge": SIDE}
    images = Idefics3ImageProcessorPil(size=size, max_image_size=size, do_image_splitting=False)
    Idefics3Processor(
        image_processor=images, tokenizer=tokenizer, image_seq_len=4, chat_template=tokenizer.chat_template
    ).save_pretrained(folder)
