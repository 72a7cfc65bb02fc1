"""Models: references, signatures, custom models."""
