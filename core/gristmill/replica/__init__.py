"""Replica: the loop beside a model, from a shard to a part."""
