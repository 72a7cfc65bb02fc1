"""`ai_complete` over a service of ours on vLLM's own server."""

import contextlib
import json

from tests.chat_service import ChatService

import gristmill.sql


def test_rows_are_answered_by_a_real_service(chat_service: ChatService) -> None:
    with contextlib.closing(gristmill.sql.connect(settings=chat_service.settings, models=())) as con:
        con.execute("SET VARIABLE svc = 'chat'")
        parameters = "{'temperature': 0, 'max_tokens': 8, 'ignore_eos': true}"
        query = f"SELECT ai_complete(getvariable('svc'), prompt('Count to {{0}}', i), {parameters}) FROM range(5) t(i)"
        first = con.execute(query).fetchall()
        assert all(isinstance(text, str) and text for (text,) in first)
        assert con.execute(query).fetchall() == first
        told = con.execute(f"SELECT ai_complete('CHAT', 'hello', {parameters}, show_details => true)").fetchall()
        details = json.loads(told[0][0])
        assert (details["model"], details["usage"]["completion_tokens"]) == ("tiny", 8)
        form = "'STRUCT(kind ENUM(''good'', ''bad''), sure BOOLEAN)'"
        typed = con.execute(f"""
            SELECT r.kind, typeof(r.sure) FROM (
                SELECT ai_complete('chat', 'Is this good?', {{'max_tokens': 60}}, response_format => {form}) AS r)
            """).fetchall()
        assert typed[0][0] in ("good", "bad")
        assert typed[0][1] == "BOOLEAN"
        refused = con.execute(
            "SELECT ai_complete('chat', repeat('word ', 20000), return_error_details => true)"
        ).fetchall()
        assert refused[0][0]["value"] is None
        assert "400" in refused[0][0]["error"]
