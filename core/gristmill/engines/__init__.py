"""Engines: what runs a model. Each implements `gristmill.engines.protocol`."""
