"""`ai_complete` over rows: what is asked, how often, what comes back, and what ends the query."""

import concurrent.futures
import os
import threading
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from aiohttp import web
from tests.engines.openai.server import KEY, Call, chat, drop, refusal
from tests.sql.asked import Asked
from tests.sql.asked import asked as asked
from tests.sql.asked import asked_service as asked_service

import gristmill.sql


def says(text: str, reason: str = "stop") -> Any:
    """A script that answers this to everything."""

    def answer(call: Call) -> web.StreamResponse:
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
        return web.json_response(chat(call, choices=[choice]))

    return answer


def test_rows_keep_their_order_over_many_vectors(asked: Asked) -> None:
    found = asked.rows("SELECT i, ai_complete('lab', 'p' || (i % 300)) FROM range(4500) t(i)")
    assert found == [(number, f"P{number % 300}") for number in range(4500)]
    assert len(asked.service.calls) == 300


def test_identical_prompts_of_a_query_are_asked_once(asked: Asked) -> None:
    asked.service.latency = 0.02
    found = asked.rows("SELECT ai_complete('lab', 'p' || (i % 3)) FROM range(9000) t(i)")
    assert found == [f"P{number % 3}" for number in range(9000)]
    assert sorted(asked.service.texts) == ["p0", "p1", "p2"]
    asked.rows("SELECT ai_complete('lab', 'p0')")
    assert asked.service.texts.count("p0") == 2  # another query


def test_prompts_with_other_parameters_are_other_requests(asked: Asked) -> None:
    asked.rows("SELECT ai_complete('lab', 'p', {'temperature': i / 10}) FROM range(3) t(i)")
    asked.rows("SELECT ai_complete('lab', 'p'), ai_complete('lab', 'p', {'seed': 1}) FROM range(2)")
    assert [call.body.get("temperature") for call in asked.service.calls] == [0.0, 0.1, 0.2, None, None]


def test_a_prepared_query_asks_again_each_time(asked: Asked) -> None:
    asked.con.execute("PREPARE again AS SELECT ai_complete('lab', 'p')")
    assert asked.rows("EXECUTE again") == asked.rows("EXECUTE again") == ["P"]
    assert asked.service.texts == ["p", "p"]


def test_nothing_is_asked_for_null_and_an_empty_prompt_is_asked(asked: Asked) -> None:
    prompts = "(VALUES (NULL), (''), ('p')) t(p)"
    assert asked.rows(f"SELECT ai_complete('lab', p) FROM {prompts}") == [None, "", "P"]
    assert asked.rows(f"SELECT ai_complete('lab', prompt('{{0}}', p)) FROM {prompts}") == [None, "", "P"]
    assert asked.rows("SELECT ai_complete('lab', 'p', to_file(NULL))") == [None]
    assert asked.rows("SELECT ai_complete('lab', NULL, return_error_details => true)") == [None]
    assert asked.service.texts == ["", "p", "", "p"]


def test_no_rows_and_explain_ask_nothing(asked: Asked) -> None:
    assert asked.rows("SELECT ai_complete('nobody', p) FROM (VALUES ('a')) t(p) WHERE p = 'b'") == []
    assert "complete" in str(asked.rows("EXPLAIN SELECT ai_complete('lab', 'p')"))
    assert asked.service.calls == []


def test_long_prompts_and_all_of_unicode_arrive_whole(asked: Asked) -> None:
    assert asked.one("SELECT length(ai_complete('lab', repeat('x', 1000000)))") == 1_000_000
    text = 'ß "quoted" \\ \n\t😀 \u2028 ünï {0} \x01'
    asked.con.execute("CREATE TABLE texts AS SELECT ? AS p", [text])
    assert asked.one("SELECT ai_complete('lab', p) FROM texts") == text.upper()
    assert asked.content == text


def test_calls_within_calls_are_asked_one_after_the_other(asked: Asked) -> None:
    asked.service.script = lambda call: says(call.text + "!")(call)
    assert asked.rows("SELECT ai_complete('lab', ai_complete('lab', 'p' || i)) FROM range(3) t(i)") == [
        "p0!!", "p1!!", "p2!!",
    ]  # fmt: skip
    assert len(asked.service.calls) == 6


def test_requests_are_in_flight_together_up_to_the_window(asked: Asked) -> None:
    asked.service.latency = 0.05
    asked.hold(7)
    con = asked.connect(window=7)
    asked.rows("SELECT ai_complete('lab', 'p' || i) FROM range(50) t(i)", con)
    assert asked.service.most == 7


def test_connections_ask_at_the_same_time_and_share_the_window(asked: Asked) -> None:
    asked.service.latency = 0.02
    asked.hold(9)
    connections = [asked.connect(window=9), asked.connect(window=9)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        query = "SELECT ai_complete('lab', '{}-' || i) FROM range(100) t(i)"
        both = [pool.submit(asked.rows, query.format(turn), con) for turn, con in enumerate(connections)]
        found = [one.result(60) for one in both]
    assert found == [[f"{turn}-{number}" for number in range(100)] for turn in range(2)]
    assert asked.service.most == 9


def test_threads_of_a_query_ask_together(asked: Asked) -> None:
    asked.con.execute("SET threads = 4")
    asked.con.execute("CREATE TABLE big AS SELECT i, 'p' || (i // 1000) AS p FROM range(400_000) t(i)")
    query = "SELECT count(*), count(DISTINCT r) FROM (SELECT ai_complete('lab', p) AS r FROM big WHERE i % 50 = 0)"
    assert asked.rows(query) == [(8000, 400)]
    assert len(asked.service.calls) == 400


def test_memory_does_not_grow_with_the_rows(asked: Asked) -> None:
    query = "SELECT sum(length(ai_complete('lab', repeat('x', 10000) || (i % 20)))) FROM range({}) t(i)"
    asked.rows(query.format(4_096))
    before = _resident()
    asked.rows(query.format(25_000))
    assert len(asked.service.calls) == 40
    assert _resident() - before < 125e6  # the prompts are 250 MB


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_row_that_fails_is_null_or_told(asked: Asked) -> None:
    def picky(call: Call) -> web.StreamResponse | None:
        return refusal(400, f"no {KEY}", kind="invalid_request_error") if call.text == "bad" else None

    asked.service.script = picky
    prompts = "(VALUES ('good'), ('bad'), (NULL)) t(p)"
    assert asked.rows(f"SELECT ai_complete('lab', p) FROM {prompts}") == ["GOOD", None, None]
    told = [
        {"value": "GOOD", "error": None},
        {"value": None, "error": "400 invalid_request_error: no ***"},
        None,
    ]
    assert asked.rows(f"SELECT ai_complete('lab', p, return_error_details => true) FROM {prompts}") == told
    asked.con.execute("SET VARIABLE return_error_details = true")
    assert asked.rows(f"SELECT ai_complete('lab', p) FROM {prompts}") == told
    assert asked.rows(f"SELECT ai_complete('lab', p, return_error_details => false) FROM {prompts}")[0] == "GOOD"


def test_details_are_the_response_as_json(asked: Asked) -> None:
    query = "SELECT r, typeof(r) FROM (SELECT ai_complete('lab', 'p', show_details => true) AS r)"
    ((_, kind),) = asked.rows(query)
    assert kind == "JSON"
    query = "SELECT r->>'$.choices[0].message.content', r->>'model', (r->'usage'->'total_tokens')::INT, r->>'created'"
    assert asked.rows(f"{query} FROM (SELECT ai_complete('lab', 'p', show_details => true) AS r)") == [
        ("P", "tiny", 15, "1700000000")
    ]


def test_arguments_stand_in_their_order_with_and_without_a_file(asked: Asked) -> None:
    asked.service.script = says('{"a": 1}')
    assert asked.one("SELECT ai_complete('lab', 'p', {'seed': 1}, 'STRUCT(a INT)', false, true)") == {
        "value": {"a": 1}, "error": None,
    }  # fmt: skip
    assert asked.one("SELECT ai_complete('lab', 'p', NULL, 'STRUCT(a INT)').a") == 1
    file = "to_file('@my_stage', 'cat.png')"
    assert asked.one(f"SELECT ai_complete('lab', 'p', {file}, {{'seed': 2}}, 'STRUCT(a INT)', false, true)") == {
        "value": {"a": 1}, "error": None,
    }  # fmt: skip
    assert asked.body["seed"] == 2
    named = f"model_parameters => {{'seed': 3}}, prompt => 'p', model => 'lab', file => {file}"
    assert asked.one(f"SELECT ai_complete({named})") == '{"a": 1}'
    assert (asked.body["seed"], len(asked.content)) == (3, 2)


def test_the_model_may_differ_from_row_to_row(asked: Asked) -> None:
    asked.service.listing = lambda: web.json_response({"object": "list", "data": [{"id": "one"}, {"id": "org/two"}]})
    try:
        con = asked.connect(window=11)
        query = "SELECT ai_complete(m, 'p') FROM (VALUES ('lab/one'), ('LAB/org/two'), ('lab/one')) t(m)"
        assert asked.rows(query, con) == ["P"] * 3
        assert sorted(call.body["model"] for call in asked.service.calls) == ["one", "org/two"]
        assert "has 2 models; write 'lab/MODEL' with one of: one, org/two" in asked.refused(
            "SELECT ai_complete('lab', 'p')", con
        )
        assert "has no model 'three'; it has: one, org/two" in asked.refused(
            "SELECT ai_complete('lab/three', 'p')", con
        )
    finally:
        asked.service.listing = None


WRONG = {
    "'nobody', 'p'": "model: there is no service and no endpoint 'nobody'; services: none; endpoints of the",
    "NULL, 'p'": "model: is NULL",
    "getvariable('unset'), 'p'": "SET VARIABLE",
    "5, 'p'": "model: must be the name of a service or an endpoint (given: 5)",
    "'lab', 5": "prompt: must be text, or made by prompt(",
    "'lab', ['a']": "prompt: must be text, or made by prompt(",
    "'lab', to_file('@my_stage/cat.png')": "write ai_complete(model, 'what to do', file)",
    "'lab', prompt('p'), to_file('@my_stage/cat.png')": "file: the prompt is made by prompt()",
    "'lab', 'p', {'tempersture': 1}": "model_parameters.tempersture: is not a param of the function; it takes: temp",
    "'lab', 'p', {'temperature': -1}": "model_parameters.temperature: must be at least 0",
    "'lab', 'p', {'max_tokens': 0}": "max_completion_tokens: must be at least 1",
    "'lab', 'p', 'no json'": "model_parameters: is not JSON",
    "'lab', 'p', 5": "model_parameters: must be a struct such as",
    "'lab', 'p', response_format => 'NO TYPE'": "response_format: 'NO TYPE' is neither a JSON schema nor a SQL type",
    "'lab', 'p', response_format => 5": "response_format: must be a JSON schema",
    "'lab', 'p', show_details => 'yes'": "show_details: must be true or false",
    "'lab', prompt('{1}', 'a')": "prompt: the template names the argument {1}, and there is 1, which is {0}",
    "'lab', prompt(5)": "prompt: the template must be text",
}  # fmt: skip


@pytest.mark.parametrize("arguments", WRONG)
def test_what_cannot_be_right_fails_the_query_and_is_not_asked(asked: Asked, arguments: str) -> None:
    assert WRONG[arguments] in asked.refused(f"SELECT ai_complete({arguments})")
    assert asked.service.calls == []


@pytest.mark.parametrize("details", ["", ", return_error_details => true"])
def test_a_service_that_goes_away_fails_the_query(asked: Asked, details: str) -> None:
    asked.service.script = lambda call: drop() if call.number >= 100 else None
    con = asked.connect(window=20)
    told = asked.refused(f"SELECT ai_complete('lab', 'p' || i{details}) FROM range(5000) t(i)", con)
    assert "the service is down and no row is at fault. Run the query again once the service works" in told
    assert KEY not in told
    assert len(asked.service.calls) <= 100 + 6 * 20
    asked.service.script = None
    assert asked.rows("SELECT ai_complete('lab', 'p')", con) == ["P"]


def test_a_service_that_asks_to_wait_is_asked_again(asked: Asked) -> None:
    refused: list[str] = []

    def busy(call: Call) -> web.StreamResponse | None:
        if not call.text.startswith("busy") or len(refused) == 3:  # others may be left of an earlier query
            return None
        refused.append(call.text)
        return refusal(429, "slow down", retry_after_ms="30")

    asked.service.script = busy
    assert asked.rows("SELECT ai_complete('lab', 'busy' || i) FROM range(20) t(i)", asked.connect(attempts=4)) == [
        f"BUSY{number}" for number in range(20)
    ]
    assert sum(text.startswith("busy") for text in asked.service.texts) == 23


def test_a_wrong_key_fails_the_query_and_is_not_shown(asked: Asked) -> None:
    told = asked.refused("SELECT ai_complete('lab/tiny', 'p')", asked.connect(api_key="sk-wrong-key"))
    assert "401" in told
    assert "set api_key in [endpoints.lab]" in told
    assert "sk-wrong-key" not in told
    assert asked.service.calls == []


def test_an_error_in_one_vector_ends_those_of_other_threads(asked: Asked) -> None:
    asked.con.execute("SET threads = 4")
    asked.con.execute("CREATE TABLE big AS SELECT i FROM range(400_000) t(i)")
    asked.service.latency = 30.0
    parameters = "{'temperature': CASE WHEN i = 246000 THEN -1 ELSE 1 END}"
    told = asked.refused(f"SELECT ai_complete('lab', 'p' || i, {parameters}) FROM big WHERE i % 1000 = 0")
    assert "model_parameters.temperature" in told


def _wait(until: Any) -> None:
    for _ in range(3_000):
        if until():
            return
        time.sleep(0.01)
    pytest.fail("it did not come to that within half a minute")


def test_an_interrupted_query_asks_for_nothing_more(asked: Asked) -> None:
    asked.service.latency = 60.0
    ended: list[BaseException] = []

    def run() -> None:
        try:
            asked.rows("SELECT ai_complete('lab', 'p' || i) FROM range(5000) t(i)")
        except duckdb.Error as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    _wait(lambda: len(asked.service.calls) == 256)
    asked.con.interrupt()
    thread.join(30)
    assert len(ended) == 1
    assert "nterrupted" in str(ended[0])
    _wait(lambda: asked.service._now == 0)  # the service is not kept busy
    assert len(asked.service.calls) == 256
    asked.service.latency = 0.0
    assert asked.rows("SELECT ai_complete('lab', 'p')") == ["P"]


class TestFiles:
    def test_pictures_sound_and_films_are_parts_of_their_kind(self, asked: Asked) -> None:
        names = "(VALUES (1, 'cat.png'), (2, 'talk.wav'), (3, 'clip.webm'), (4, 'clip.gif')) t(i, f)"
        asked.rows(f"SELECT ai_complete('lab', 'p', to_file('@my_stage', f)) FROM {names} ORDER BY i")
        kinds = {call.body["messages"][0]["content"][1]["type"] for call in asked.service.calls}
        assert kinds == {"image_url", "input_audio", "video_url"}
        sound = next(call for call in asked.service.calls if "input_audio" in call.text)
        assert sound.body["messages"][0]["content"][1]["input_audio"]["format"] == "wav"

    def test_text_and_several_files_stand_in_the_template_s_order(self, asked: Asked) -> None:
        files = "to_file('@my_stage/cat.png'), 'and', to_file('@my_stage/talk.wav')"
        asked.rows(f"SELECT ai_complete('lab', prompt('{{0}} {{1}} {{2}}', {files}))")
        assert [part["type"] for part in asked.content] == ["image_url", "text", "input_audio"]
        assert asked.content[1]["text"] == " and "

    def test_rows_with_files_and_without_stand_in_one_query(self, asked: Asked) -> None:
        query = """
            SELECT ai_complete('lab', 'look at ' || i, CASE WHEN i % 2 = 0 THEN to_file('@my_stage', 'cat.png') END)
            FROM range(6) t(i)"""
        found = asked.rows(query)
        assert [row is None for row in found] == [False, True] * 3
        assert all(f"LOOK AT {number}" in found[number] for number in (0, 2, 4))

    @pytest.mark.parametrize(
        ("path", "problem"),
        [
            ("@my_stage/gone.png", "No such file"),
            ("@my_stage/note.png", "the content is not of a known format"),
            ("/etc/passwd", "is under none of the stages"),
            ("@nobody/cat.png", "names the stage '@nobody'"),
            ("@my_stage/../cat.png", "'..'"),
        ],
    )
    def test_a_file_that_cannot_be_had_is_the_row_s_error(self, asked: Asked, path: str, problem: str) -> None:
        asked.con.execute("CREATE TABLE files AS SELECT unnest([?, '@my_stage/cat.png']) AS f", [path])
        query = "SELECT ai_complete('lab', prompt('{0}', to_file(f))%s) FROM files"
        bad, good = asked.rows(query % ", return_error_details => true")
        assert problem in bad["error"]
        assert good["error"] is None
        assert asked.rows(query % "")[0] is None

    def test_columns_of_files_can_be_kept_in_tables(self, asked: Asked) -> None:
        asked.con.execute("CREATE TABLE kept AS SELECT to_file('@my_stage', 'cat.png') AS f FROM range(3000)")
        assert asked.rows("SELECT count(ai_complete('lab', prompt('What is {0}?', f))) FROM kept") == [3000]
        assert len(asked.service.calls) == 1


class TestEstimate:
    def test_counts_rows_requests_and_tokens_and_asks_nobody(self, asked: Asked) -> None:
        query = "SELECT ai_complete('lab', repeat('four', 10) || (i % 5), {'max_tokens': 20}) FROM range(3000) t(i)"
        found = gristmill.sql.estimate(asked.con, query)
        assert (found.rows, found.distinct_prompts, found.completion_tokens) == (3000, 5, 100)
        assert found.prompt_tokens == 5 * (10 + 4)
        assert asked.service.calls == []
        assert asked.rows("SELECT ai_complete('lab', 'p')") == ["P"]

    def test_counts_calls_within_calls(self, asked: Asked) -> None:
        found = gristmill.sql.estimate(asked.con, "SELECT ai_complete('lab', ai_complete('lab', 'p'))")
        assert (found.rows, found.distinct_prompts) == (2, 2)
        assert found.prompt_tokens > 250

    def test_refuses_what_writes_and_what_cannot_be_right(self, asked: Asked) -> None:
        with pytest.raises(gristmill.errors.SpecError, match="one SELECT"):
            gristmill.sql.estimate(asked.con, "CREATE TABLE t AS SELECT 1")
        with pytest.raises(duckdb.Error, match="guardrails"):
            gristmill.sql.estimate(asked.con, "SELECT ai_complete('lab', 'p', {'guardrails': true})")
        with duckdb.connect() as bare, pytest.raises(gristmill.errors.SpecError, match="knows no ai_complete"):
            gristmill.sql.estimate(bare, "SELECT 1")


class TestRegistering:
    def test_a_name_that_is_taken_is_refused(self, asked: Asked) -> None:
        with duckdb.connect() as con:
            con.execute("CREATE MACRO prompt(x) AS x")
            with pytest.raises(
                gristmill.errors.SpecError, match="'prompt' is a macro function of this connection already"
            ):
                gristmill.sql.register(con, settings=asked.settings, models=())

    def test_a_file_of_duckdb_holds_nothing_of_it(self, asked: Asked, tmp_path: Path) -> None:
        con = asked.connect(str(tmp_path / "data.duckdb"))
        con.execute("CREATE TABLE answers AS SELECT ai_complete('lab', 'p') AS r")
        con.close()
        with duckdb.connect(str(tmp_path / "data.duckdb")) as bare:
            assert bare.execute("FROM answers").fetchall() == [("P",)]
            with pytest.raises(duckdb.CatalogException, match="ai_complete"):
                bare.execute("SELECT ai_complete('lab', 'p')")

    def test_cursors_of_a_database_in_memory_and_second_registrations_work(self, asked: Asked) -> None:
        assert asked.rows("SELECT ai_complete('lab', 'p')", asked.con.cursor()) == ["P"]
        gristmill.sql.register(asked.con, settings=asked.settings, models=())
        assert asked.rows("SELECT ai_complete('lab', 'p')") == ["P"]

    def test_connections_with_other_settings_keep_their_own(self, asked: Asked) -> None:
        first, second = asked.connect(window=3), asked.connect(window=4)
        asked.service.latency = 0.02
        asked.hold(3)
        asked.rows("SELECT ai_complete('lab', 'p' || i) FROM range(30) t(i)", first)
        assert asked.service.most == 3
        asked.hold(4)
        asked.rows("SELECT ai_complete('lab', 'p' || i) FROM range(30) t(i)", second)
        assert asked.service.most == 4
