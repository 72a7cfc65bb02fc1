"""The body of a request, from a row and its params."""

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["ChatBody", "estimate_tokens"]

_LETTERS = 4
"""Letters to a token, about; an estimate is corrected when the answer tells."""

_MEDIA_TOKENS = 1_000


class ChatBody:
    """Writes the bodies of chat requests.

    Only what was given is sent: what a service does when a param is left out is its own affair, and some refuse params
    that they do not know, whatever the value.

    Args:
        model: the model's name; a row's param `model` goes before it.
        max_tokens_name: how the service calls `max_completion_tokens`.

    Example:
        >>> ChatBody("m").write('[{"role": "user", "content": "Hi"}]', {"n": 2, "seed": None})
        b'{"model":"m","n":2,"messages":[{"role": "user", "content": "Hi"}]}'
    """

    def __init__(self, model: str, *, max_tokens_name: str = "max_completion_tokens") -> None:
        self._model = model
        self._renamed = {"max_completion_tokens": max_tokens_name}
        self._last: tuple[Mapping[str, Any], bytes] | None = None

    def write(self, messages: str, params: Mapping[str, Any]) -> bytes:
        """A body.

        Args:
            messages: JSON text of checked messages.
            params: those of the row; None and an empty `stop` are not sent. The mapping is not changed later on.
        """
        last = self._last
        if last is None or last[0] is not params:
            last = self._last = (params, self._head(params))
        return b'%b,"messages":%b}' % (last[1], messages.encode())

    def _head(self, params: Mapping[str, Any]) -> bytes:
        sent = {
            self._renamed.get(name, name): value
            for name, value in params.items()
            if value is not None and name not in ("model", "stream") and not (name == "stop" and not value)
        }
        model = params.get("model")
        fields = {"model": self._model if model is None else model, **sent}
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()[:-1]


def estimate_tokens(messages: list[dict[str, Any]], params: Mapping[str, Any]) -> int:
    """About how many tokens a request will take, its answers included, before anybody has counted them.

    Example:
        >>> estimate_tokens([{"role": "user", "content": "four letters to a token"}], {"max_completion_tokens": 10})
        19
    """
    count = 0
    for message in messages:
        content = message.get("content")
        count += 4
        if isinstance(content, str):
            count += len(content) // _LETTERS
        for part in content if isinstance(content, list) else ():
            count += len(part["text"]) // _LETTERS if part["type"] == "text" else _MEDIA_TOKENS
    answers = 1 if params.get("n") is None else params["n"]
    return count + answers * (params.get("max_completion_tokens") or 0)
