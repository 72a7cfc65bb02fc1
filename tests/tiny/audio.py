"""A tiny Qwen2-Audio: sounds in, text out."""

from pathlib import Path

from tests.tiny.tokens import chat_template, make_tokenizer, token_ids
from tests.tiny.weights import DECODER, random_model, save_weights

__all__ = ["ENCODER", "MELS", "make_qwen2_audio"]

MELS = 80
ENCODER = {
    "d_model": 64,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 128,
    "num_mel_bins": MELS,
    "max_source_positions": 1500,
    "initializer_range": 0.1,
}


def make_qwen2_audio(folder: Path) -> None:
    """A chat model that hears sounds."""
    from transformers import (
        Qwen2AudioConfig,
        Qwen2AudioForConditionalGeneration,
        Qwen2AudioProcessor,
        WhisperFeatureExtractor,
    )

    markers = ("<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>")
    tokenizer = make_tokenizer(*markers, template=chat_template(audio="<|audio_bos|><|AUDIO|><|audio_eos|>"))
    sound = tokenizer.convert_tokens_to_ids("<|AUDIO|>")
    config = Qwen2AudioConfig(
        audio_config={"model_type": "qwen2_audio_encoder", **ENCODER},
        text_config={"model_type": "qwen2", **DECODER, **token_ids(tokenizer)},
        audio_token_index=sound,
        audio_token_id=sound,
    )
    model = random_model(Qwen2AudioForConditionalGeneration, config)
    model.save_pretrained(folder)
    # Under the names of the published weights, which vLLM expects; transformers 5 saves others.
    names = {name: name.removeprefix("model.") for name in model.state_dict()}
    for name, old in names.items():
        new = old.replace("language_model.", "language_model.model.")
        names[name] = f"language_model.{new}" if new.startswith("lm_head.") else new
    tensors = {names[name]: tensor for name, tensor in model.state_dict().items()}
    save_weights(tensors, folder)
    Qwen2AudioProcessor(
        feature_extractor=WhisperFeatureExtractor(feature_size=MELS),
        tokenizer=tokenizer,
        chat_template=tokenizer.chat_template,
    ).save_pretrained(folder)
