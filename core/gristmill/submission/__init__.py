"""Submission: a request is checked, staged, recorded and started."""
