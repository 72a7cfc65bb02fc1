"""Resolve: references in rows become content."""
