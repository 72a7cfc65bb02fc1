"""Benchmarks: Gristmill beside loops written by hand, Daft and Ray Data, every contestant in one run."""
