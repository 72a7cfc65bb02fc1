"""The tokenizer of the tiny models, trained on Python's own help texts, and their chat template."""

from typing import Any

__all__ = ["END", "PAD", "chat_template", "make_tokenizer", "token_ids"]

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

# `note` is for tests of `chat_template_kwargs`.
_TEMPLATE = """
{%- if note %}<|im_start|>system
{{ note }}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}
{%- else %}
{%- for part in message['content'] or [] %}
{%- if part['type'] in ('image', 'image_url') %}IMAGE
{%- elif part['type'] in ('audio', 'audio_url', 'input_audio') %}AUDIO
{%- elif part['type'] in ('video', 'video_url') %}VIDEO
{%- elif part['type'] == 'text' %}{{ part['text'] }}
{%- endif %}
{%- endfor %}
{%- endif %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def chat_template(*, image: str = "", audio: str = "", video: str = "") -> str:
    """A template for contents that are texts or lists of parts; what stands for each medium is put in its place."""
    return _TEMPLATE.replace("IMAGE", image).replace("AUDIO", audio).replace("VIDEO", video)


def make_tokenizer(*special: str, template: str | None = None, **options: Any) -> Any:
    """A byte-level BPE tokenizer of about 2,000 tokens (`PreTrainedTokenizerFast`), the special ones among them."""
    from pydoc_data.topics import topics

    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        special_tokens=[PAD, START, END, *special],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([topics[name] for name in sorted(topics)], trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, **options)
    made.chat_template = template
    return made


def token_ids(tokenizer: Any) -> dict[str, Any]:
    """What a config says about the tokenizer, for a decoder."""
    return {
        "vocab_size": len(tokenizer),
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
    }
