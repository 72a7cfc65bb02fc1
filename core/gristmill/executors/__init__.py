"""Executors: where workers run, and how messages reach them."""
