"""A shop whose prices get their tax each night: a project for `dg`, with an asset that a `defs.yaml` gives."""
