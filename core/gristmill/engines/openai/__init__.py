"""The engine `openai`: any service that speaks the OpenAI API, a shared vLLM server among them."""
