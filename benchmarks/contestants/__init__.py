"""The contestants: each does a workload's whole work in a fresh process."""
