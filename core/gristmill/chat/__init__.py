"""Chat: messages, params and responses in the form of the OpenAI API, as data."""
