"""Why a request has no answer: what a row's `_error` then says, or the job's message. Messages never hold the key."""

from gristmill.engines.protocol import EngineRefusedError

__all__ = ["EndpointDownError", "EndpointError", "EndpointTimeoutError", "ReplyError", "RequestError"]


class RequestError(Exception):
    """The service refused the request: a status of 400 to 499, or an error where an answer should stand.

    Attributes:
        status: the HTTP status.
        code: the service's own word for it, such as `context_length_exceeded`; None where it gives none.
        kind: its word for the kind of failure, such as `invalid_request_error`; None likewise.
    """

    def __init__(self, message: str, *, status: int, code: str | None = None, kind: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.kind = kind


class ReplyError(Exception):
    """The service answered, and it is no answer in the form of the OpenAI API."""


class EndpointError(Exception):
    """The service could not be reached, or failed by itself, at every attempt, and answers others."""


class EndpointTimeoutError(EndpointError):
    """The service took longer than the endpoint's `timeout`."""


class EndpointDownError(EngineRefusedError):
    """The service answers nobody: the end of the job, and no row's failure."""
