"""Inputs: tables, queries, frames and listings, and reading their rows back."""
