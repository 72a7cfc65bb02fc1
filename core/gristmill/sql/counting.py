"""What a query would ask, counted and not asked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from gristmill.engines.openai.request import estimate_tokens
from gristmill.sql.prompt import TEXT

__all__ = ["Counter", "Estimate"]

_LETTERS = 4
_ANSWER = 16_384


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a query's calls of `ai_complete` would cost, about.

    Attributes:
        rows: rows that have a prompt.
        distinct_prompts: requests, since identical ones are asked once.
        prompt_tokens: of them all, about: four letters to a token, a thousand tokens to a file.
        completion_tokens: of the answers, at most, where every row bounds them.
    """

    rows: int
    distinct_prompts: int
    prompt_tokens: int
    completion_tokens: int


class Counter:
    """Counts the calls of one query."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._rows = self._prompt = self._completion = 0

    def count(self, rows: Iterable[tuple[int, Any, tuple[str, Mapping[str, Any]]]], model: str) -> None:
        """Some rows: what each says, and its parameters."""
        for _, content, (head, params) in rows:
            self._rows += 1
            key = _key(f"{model}\0{head}\0{content}")
            if key in self._seen:
                continue
            self._seen.add(key)
            kind, text = content
            both = estimate_tokens([{"content": text if kind == TEXT else _parts(text)}], params)
            answers = (params.get("n") or 1) * (params.get("max_completion_tokens") or 0)
            self._prompt += both - answers
            self._completion += answers

    def answer(self, content: Any) -> str:
        """A text in the place of an answer, of which a further call may make its prompt."""
        return _key(str(content)).hex() + " " * min(_ANSWER, _LETTERS * 250)

    @property
    def estimate(self) -> Estimate:
        """All that was counted."""
        return Estimate(self._rows, len(self._seen), self._prompt, self._completion)


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()


def _parts(text: str) -> Any:
    import json

    return json.loads(text)
