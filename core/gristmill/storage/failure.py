"""Why a file could not be read: whether another try may help."""

import errno

__all__ = ["FileTooLargeError", "TransientError", "may_pass"]

_PASSING = frozenset(
    getattr(errno, name)
    for name in (
        "EAGAIN", "EBUSY", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "EIO", "ENETUNREACH", "EPIPE",
        "EREMOTEIO", "ESTALE", "ETIMEDOUT",
    )
    if hasattr(errno, name)
)  # fmt: skip


class TransientError(OSError):
    """A failure that may pass: no answer in time, throttling, a server's own fault, a dropped connection."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class FileTooLargeError(OSError):
    """A file of more bytes than the settings allow."""

    @classmethod
    def of(cls, size: int | None, limit: int) -> "FileTooLargeError":
        """The error for a file of `size` bytes (None: more than the limit) under a limit of `limit`."""
        has = "more" if size is None else f"{size:,} bytes"
        return cls(errno.EFBIG, f"the file has {has}, over the limit of {limit:,} (settings: resolver.max_file_bytes)")


def may_pass(error: BaseException) -> bool:
    """Whether another try at the same file may go well."""
    if isinstance(error, TransientError | TimeoutError | ConnectionError | EOFError):
        return True
    return isinstance(error, OSError) and error.errno in _PASSING
