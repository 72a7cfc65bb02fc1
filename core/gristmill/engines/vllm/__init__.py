"""Chat, embedding and classification models on vLLM."""
