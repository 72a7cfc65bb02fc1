"""A tiny Qwen2.5-Omni, of which the half that thinks: images, sounds and films in, text out."""

import json
from pathlib import Path
from typing import Any

from tests.tiny.audio import ENCODER, MELS
from tests.tiny.tokens import chat_template, make_tokenizer, token_ids
from tests.tiny.weights import DECODER, random_model, save_weights

__all__ = ["make_omni"]

TOKENS = {
    "image_token": "<|IMAGE|>",
    "audio_token": "<|AUDIO|>",
    "video_token": "<|VIDEO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}
PIXELS = {
    "size": {"shortest_edge": 28 * 28, "longest_edge": 16 * 28 * 28},
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
}


def make_omni(folder: Path) -> None:
    """A chat model that sees and hears; it needs torchvision."""
    from transformers import Qwen2_5OmniConfig, Qwen2_5OmniProcessor, WhisperFeatureExtractor
    from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniThinkerForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    template = chat_template(
        image="<|vision_bos|><|IMAGE|><|vision_eos|>",
        audio="<|audio_bos|><|AUDIO|><|audio_eos|>",
        video="<|vision_bos|><|VIDEO|><|vision_eos|>",
    )
    tokenizer = make_tokenizer(*TOKENS.values(), template=template, extra_special_tokens=TOKENS)
    thinker = _thinker(tokenizer)
    model = random_model(Qwen2_5OmniThinkerForConditionalGeneration, thinker)
    # The published weights are those of the whole model, and vLLM expects their names.
    names = {name: f"thinker.{name}".replace(".model.language_model.", ".model.") for name in model.state_dict()}
    save_weights({names[name]: tensor for name, tensor in model.state_dict().items()}, folder)
    config = Qwen2_5OmniConfig(thinker_config=thinker.to_dict(), enable_audio_output=False)
    config.architectures = ["Qwen2_5OmniModel"]
    config.save_pretrained(folder)
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    (folder / "generation_config.json").write_text(json.dumps(ends))
    Qwen2_5OmniProcessor(
        image_processor=Qwen2VLImageProcessorPil(**PIXELS),
        video_processor=Qwen2VLVideoProcessor(**PIXELS),
        feature_extractor=WhisperFeatureExtractor(feature_size=MELS),
        tokenizer=tokenizer,
        chat_template=tokenizer.chat_template,
    ).save_pretrained(folder)


def _thinker(tokenizer: Any) -> Any:
    from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniThinkerConfig

    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in TOKENS.items()}
    media = {
        f"{medium}_{key}": ids[f"{medium}_token"]
        for medium in ("image", "audio", "video")
        for key in ("token_id", "token_index")
    }
    wide = DECODER["hidden_size"]
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [8, 12, 12]}
    return Qwen2_5OmniThinkerConfig(
        audio_config={**ENCODER, "n_window": 100, "output_dim": wide},
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 2,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "out_hidden_size": wide,
            "fullatt_block_indexes": [1],
            "initializer_range": 0.1,
        },
        text_config={**DECODER, "rope_parameters": rope, **token_ids(tokenizer)},
        vision_start_token_id=ids["vision_bos_token"],
        vision_end_token_id=ids["vision_eos_token"],
        audio_start_token_id=ids["audio_bos_token"],
        audio_end_token_id=ids["audio_eos_token"],
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
        **media,
    )
