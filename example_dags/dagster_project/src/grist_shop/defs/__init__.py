"""All of this folder is loaded."""
