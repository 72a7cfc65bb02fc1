"""Running contestants in processes of their own, measuring them, and comparing what they wrote."""
