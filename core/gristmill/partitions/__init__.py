"""Partitions: rows that belong together by the value of a column, found without holding the input in memory."""
