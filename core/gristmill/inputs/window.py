"""`Window`: which of the rows that pass by are wanted."""

__all__ = ["Window"]


class Window:
    """A count-down over rows in order: `skip` rows are passed over, then `take` rows are wanted.

    Args:
        skip: rows to pass over.
        take: rows wanted after them; None for all.
    """

    __slots__ = ("skip", "take")

    def __init__(self, skip: int = 0, take: int | None = None) -> None:
        self.skip = skip
        self.take = take

    @property
    def is_done(self) -> bool:
        """Whether nothing more is wanted."""
        return self.take == 0

    def passes_over(self, rows: int) -> bool:
        """Whether the next `rows` rows all lie before the window; if so they are counted."""
        if rows > self.skip:
            return False
        self.skip -= rows
        return True

    def cut(self, rows: int) -> tuple[int, int]:
        """Offset and length of what is wanted of the next `rows` rows, which are counted."""
        offset = min(self.skip, rows)
        self.skip -= offset
        length = rows - offset if self.take is None else min(rows - offset, self.take)
        if self.take is not None:
            self.take -= length
        return offset, length
