"""Runner: drives one job from its plan to `_SUCCESS`."""
