"""The request: what a user asks for, checked on its own, before anything is opened."""
