"""Small models of random weights that the examples of guides need besides `tests.tiny.models`."""

from pathlib import Path

__all__ = ["LABELS", "make_vit", "make_whisper"]

LABELS = ("cat", "dog", "owl")


def make_vit(folder: Path) -> None:
    """A model that sorts images into `LABELS`."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    names = dict(enumerate(LABELS))
    config = ViTConfig(
        image_size=16, patch_size=8, id2label=names, label2id={name: place for place, name in names.items()},
        initializer_range=1.0, **sizes,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)


def make_whisper(folder: Path) -> None:
    """A model that hears a second of sound and writes small letters, with times where it is asked for them."""
    import string

    import torch
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )

    letters = {letter: place for place, letter in enumerate(string.ascii_lowercase)}
    tokenizer = WhisperTokenizer(vocab=letters, merges=[])
    end, start = "<|endoftext|>", "<|startoftranscript|>"
    tokenizer.pad_token = end
    markers = [end, start, "<|en|>", "<|transcribe|>", "<|translate|>", "<|notimestamps|>"]
    tokenizer.add_tokens([*markers, *(f"<|{place / 50:.2f}|>" for place in range(51))])
    tokenizer.add_special_tokens({"additional_special_tokens": markers[1:]})
    ids = {marker: tokenizer.convert_tokens_to_ids(marker) for marker in markers}
    marks = {
        "bos_token_id": ids[end],
        "eos_token_id": ids[end],
        "pad_token_id": ids[end],
        "decoder_start_token_id": ids[start],
    }
    sizes = {f"{part}_{name}": 2 for part in ("encoder", "decoder") for name in ("layers", "attention_heads")}
    config = WhisperConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_ffn_dim=32, decoder_ffn_dim=32, max_source_positions=50,
        max_target_positions=40, num_mel_bins=80, init_std=0.5, begin_suppress_tokens=None, **sizes, **marks,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        max_length=24,
        language="en",
        task="transcribe",
        is_multilingual=True,
        lang_to_id={"<|en|>": ids["<|en|>"]},
        task_to_id={name: ids[f"<|{name}|>"] for name in ("transcribe", "translate")},
        no_timestamps_token_id=ids["<|notimestamps|>"],
        begin_suppress_tokens=[ids[end]],
        suppress_tokens=[tokenizer.convert_tokens_to_ids("<|0.00|>")],  # a time that never moves is asked for again
        **marks,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80, chunk_length=1).save_pretrained(folder)
