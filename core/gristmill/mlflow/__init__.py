"""Registered models: MLflow as a store of models, and their files on this machine."""
