"""Outputs: parts, commits, publishing, the manifest, reading back."""
