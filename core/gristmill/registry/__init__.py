"""The model registry as its users see it: models, their versions, and what is done with one."""
