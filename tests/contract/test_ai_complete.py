"""The guide's examples of AI_COMPLETE over a service of one's own, with DuckDB's literals where those differ.

`$service_name` is `getvariable('service_name')`, `OBJECT_CONSTRUCT('a', 1)` is `{'a': 1}`, `ARRAY_CONSTRUCT` is a list.
"""

import pytest

import gristmill
from tests.sql.asked import PNG, Asked
from tests.sql.asked import asked as asked
from tests.sql.asked import asked_service as asked_service

HAIKU_PARAMETERS = {"temperature": 0.7, "top_p": 0.9, "max_completion_tokens": 64}


@pytest.fixture(autouse=True)
def named(asked: Asked) -> None:
    """The examples use a variable for the service's name."""
    asked.con.execute("SET VARIABLE service_name = 'lab'")


def test_single_response(asked: Asked) -> None:
    told = asked.one("SELECT AI_COMPLETE(getvariable('service_name'), 'Say hello in five words.')")
    assert told == "SAY HELLO IN FIVE WORDS."


def test_responses_from_a_table_column(asked: Asked) -> None:
    asked.con.execute("CREATE OR REPLACE TABLE prompts (id INT, q VARCHAR)")
    asked.con.execute("""
        INSERT INTO prompts VALUES
          (1, 'Translate "good morning" to French.'),
          (2, 'What is 2+2?'),
          (3, 'Summarize: DuckDB is an in-process database.')""")
    found = asked.rows("""
        SELECT
          id,
          q,
          AI_COMPLETE(getvariable('service_name'), q) AS reply
        FROM prompts
        ORDER BY id""")
    assert [number for number, _, _ in found] == [1, 2, 3]
    assert all(reply == question.upper() for _, question, reply in found)


def test_controlling_model_parameters(asked: Asked) -> None:
    haiku = asked.one("""
        SELECT AI_COMPLETE(
          getvariable('service_name'),
          'Write a haiku about ducks.',
          {
            'temperature': 0.7,
            'top_p':       0.9,
            'max_tokens':  64
          }
        ) AS haiku""")
    assert haiku == "WRITE A HAIKU ABOUT DUCKS."
    assert {name: asked.body[name] for name in HAIKU_PARAMETERS} == HAIKU_PARAMETERS


def test_using_named_arguments(asked: Asked) -> None:
    answer = asked.one("""
        SELECT AI_COMPLETE(
          model            => getvariable('service_name'),
          prompt           => 'Three benefits of unit tests:',
          model_parameters => {'temperature': 0.2, 'max_tokens': 128}
        ) AS answer""")
    assert answer == "THREE BENEFITS OF UNIT TESTS:"
    assert (asked.body["temperature"], asked.body["max_completion_tokens"]) == (0.2, 128)


def test_using_a_prompt_template(asked: Asked) -> None:
    translation = asked.one("""
        SELECT AI_COMPLETE(
          getvariable('service_name'),
          PROMPT('Translate {0} into {1}.', 'hello world', 'French')
        ) AS translation""")
    assert translation == "TRANSLATE HELLO WORLD INTO FRENCH."


def test_joining_with_a_table(asked: Asked) -> None:
    asked.con.execute("CREATE OR REPLACE TABLE customers (id INT, name VARCHAR, city VARCHAR)")
    asked.con.execute("""
        INSERT INTO customers VALUES
          (1, 'Alice', 'Paris'),
          (2, 'Bob',   'Tokyo'),
          (3, 'Carol', 'Lima')""")
    found = asked.rows("""
        SELECT
          c.id,
          c.name,
          c.city,
          AI_COMPLETE(
            getvariable('service_name'),
            'Suggest a one-line dinner recommendation for ' || c.name ||
            ' visiting ' || c.city || '.'
          ) AS suggestion
        FROM customers c
        ORDER BY c.id""")
    assert found[1] == (2, "Bob", "Tokyo", "SUGGEST A ONE-LINE DINNER RECOMMENDATION FOR BOB VISITING TOKYO.")
    assert [row[0] for row in found] == [1, 2, 3]


FILES = {
    "a file as an argument": (
        "SELECT AI_COMPLETE(getvariable('service_name'), 'Describe this image in one sentence.',"
        " TO_FILE('@my_stage', 'cat.png'))"
    ),
    "a column of files": "SELECT AI_COMPLETE(getvariable('service_name'), 'Describe this:', file_col) FROM with_files",
    "a file in a prompt": (
        "SELECT AI_COMPLETE(getvariable('service_name'), PROMPT('Describe {0}', TO_FILE('@my_stage', 'cat.png')))"
    ),
    "a file in PROMPT_FORMAT": (
        "SELECT AI_COMPLETE(getvariable('service_name'),"
        " PROMPT_FORMAT('Describe {0}', TO_FILE('@my_stage', 'cat.png')))"
    ),
    "a column of files in a prompt": (
        "SELECT AI_COMPLETE(getvariable('service_name'), PROMPT('Caption {0}', file_col)) FROM with_files"
    ),
}


@pytest.mark.parametrize("how", FILES)
def test_files_which_are_refused_there_work_here(asked: Asked, how: str) -> None:
    asked.con.execute("CREATE TABLE with_files AS SELECT TO_FILE('@my_stage', 'cat.png') AS file_col")
    assert asked.one(FILES[how]).startswith('[{"TYPE": "TEXT", "TEXT": "')
    text, image = asked.content
    assert text["type"] == "text"
    assert image["image_url"]["url"].startswith("data:image/png;base64,iVBORw0KGgo")
    assert len(image["image_url"]["url"]) > len(PNG)


REFUSED = {
    "PROMPT('Process {0}', {'key': 'value'})": "prompt: the argument {0} is an object and no file",
    "PROMPT('Pick from {0}', ['a', 'b', 'c'])": "prompt: the argument {0} is an array and no file",
    "PROMPT('Process {0}', MAP {'key': 'value'})": "prompt: the argument {0} is an object and no file",
}


@pytest.mark.parametrize("details", ["", ", return_error_details => true"])
@pytest.mark.parametrize("prompt", REFUSED)
def test_objects_and_arrays_in_a_prompt_fail_the_query(asked: Asked, prompt: str, details: str) -> None:
    told = asked.refused(f"SELECT AI_COMPLETE(getvariable('service_name'), {prompt}{details})")
    assert REFUSED[prompt] in told
    assert "to_file" in told
    assert asked.service.calls == []


@pytest.mark.parametrize("details", ["", ", return_error_details => true"])
@pytest.mark.parametrize(
    "parameters", ["{'guardrails': TRUE}", "{'guardrails': TRUE, 'temperature': 0.7}", "'{\"guardrails\": true}'"]
)
def test_guardrails_fail_the_query(asked: Asked, parameters: str, details: str) -> None:
    told = asked.refused(f"""
        SELECT AI_COMPLETE(
          model            => getvariable('service_name'),
          prompt           => 'hello world',
          model_parameters => {parameters}{details}
        )""")
    assert "model_parameters.guardrails: is not supported" in told
    assert asked.service.calls == []


def test_a_service_of_ones_own_answers_by_its_name(asked: Asked) -> None:
    with_service = gristmill.create_service("db.schema.chat", "echo:chat", pool="local", settings=asked.settings)
    try:
        told = gristmill.describe_service("db.schema.chat", settings=asked.settings).collect()
        assert told[0]["status"] == "RUNNING"
        asked.con.execute("SET VARIABLE service_name = 'DB.Schema.chat'")
        assert asked.one("SELECT AI_COMPLETE(getvariable('service_name'), 'Say hello.')")
        assert asked.service.calls == []
        asked.con.execute("SET VARIABLE service_name = 'nobody'")
        told = asked.refused("SELECT AI_COMPLETE(getvariable('service_name'), 'Say hello.')")
        assert "no service and no endpoint 'nobody'; services: db.schema.chat; endpoints" in told
    finally:
        gristmill.drop_service(with_service.name, settings=asked.settings)
