"""What a service means by a refusal: decisions on its status and its words."""

import re

from gristmill.engines.openai.backoff import is_passing
from gristmill.engines.openai.errors import RequestError

__all__ = ["concerns_all", "concerns_content", "is_answer", "is_too_large"]

_TOO_LARGE = frozenset(
    {"context_length_exceeded", "context_window_exceeded", "request_too_large", "string_above_max_length"}
)
_CONTENT = re.compile(r"content|policy|filter|moderation|safety|flagged|guardrail", re.IGNORECASE)
_BEGIN = 300
_REFUSING = frozenset({401, 402})


def concerns_all(problem: Exception | None) -> bool:
    """Whether a refusal is for the key or the account, and so for every request.

    Example:
        >>> concerns_all(RequestError("401: no", status=401)), concerns_all(RequestError("400: no", status=400))
        (True, False)
    """
    return isinstance(problem, RequestError) and (problem.status in _REFUSING or problem.code == "insufficient_quota")


def is_answer(problem: Exception) -> bool:
    """Whether a failure is the word of a service that works: it refuses this request, and might take another.

    Example:
        >>> is_answer(RequestError("400: no", status=400)), is_answer(RequestError("503: no", status=503))
        (True, False)
    """
    return (
        isinstance(problem, RequestError)
        and 400 <= problem.status < 500
        and not concerns_all(problem)
        and not is_passing(problem.status, {}, problem.code)
    )


def is_too_large(problem: RequestError) -> bool:
    """Whether the request is larger than the service ever takes, so that no waiting helps.

    Some services tell so with the status and the code of "too many requests": the request alone takes more tokens than
    are allowed in a minute.

    Example:
        >>> is_too_large(RequestError("429 tokens: Request too large on tokens per min: Limit 10", status=429))
        True
        >>> is_too_large(RequestError("429 tokens: Rate limit reached on tokens per min", status=429))
        False
    """
    return problem.code in _TOO_LARGE or (
        problem.status in (413, 429) and "request too large" in str(problem)[:_BEGIN].lower()
    )


def concerns_content(problem: RequestError) -> bool:
    """Whether the service says by the code or the type that it dislikes what the row says.

    Example:
        >>> concerns_content(RequestError("403: no", status=403, code="content_filter"))
        True
    """
    return any(_CONTENT.search(word) for word in (problem.code, problem.kind) if word)
