"""Storage: locations and stages, filesystems, what may be opened."""
