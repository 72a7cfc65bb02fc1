"""Wording: numbers, times and counts as people read them; for the command line, logs and orchestrators alike."""
