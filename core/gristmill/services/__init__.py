"""Services: a chat model behind an OpenAI-compatible server, its record, its key, the process that holds it."""
