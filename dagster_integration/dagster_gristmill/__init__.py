"""Dagster integration of Gristmill: assets, resources and sensors over the shared core."""
