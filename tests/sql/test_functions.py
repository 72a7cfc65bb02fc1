"""Models as functions of DuckDB."""

from pathlib import Path
from typing import Any

import duckdb
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from tests.inplace.models import Shop, Tidy

import gristmill
from gristmill import sql
from gristmill.errors import ModelError, SpecError
from gristmill.settings import Settings

SHOP = "python:tests.inplace.models:Shop"


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(2).random((5_000, 3)), columns=["age", "Spend", "calls"])


@pytest.fixture(scope="module")
def estimator(customers: pd.DataFrame) -> Any:
    return LogisticRegression().fit(customers, customers.sum(axis=1) > 1.5)


@pytest.fixture
def con(estimator: Any, settings: Settings) -> Any:
    joblib.dump(estimator, "churn.joblib")
    with sql.connect(settings=settings, models={"churn": "churn.joblib", "shop": SHOP}) as connection:
        yield connection


def one(connection: Any, query: str) -> Any:
    """The only value that a query gives."""
    ((value,),) = connection.sql(query).fetchall()
    return value


def test_a_function_gives_what_the_model_gives(con: Any, customers: pd.DataFrame, estimator: Any) -> None:
    found = con.sql("SELECT churn_predict(age, spend, calls) AS leaves FROM customers").fetchnumpy()["leaves"]
    assert found.tolist() == estimator.predict(customers).tolist()
    found = con.sql("SELECT unnest(churn_predict_proba(age, spend, calls)) FROM customers").to_arrow_table()
    assert found.column_names == ["output_feature_0", "output_feature_1"]
    assert found["output_feature_1"].to_pylist() == estimator.predict_proba(customers)[:, 1].tolist()


def test_a_function_gives_what_run_gives_to_the_bit(con: Any, customers: pd.DataFrame, settings: Settings) -> None:
    con.execute("CREATE TABLE there AS SELECT * FROM customers")
    found = con.sql("SELECT *, churn_decision_function(age, spend, calls) AS output_feature_0 FROM there")
    ours = gristmill.run("churn.joblib", con.sql("FROM there"), function_name="decision_function", settings=settings)
    assert found.fetchall() == ours.fetchall()


def test_the_default_function_goes_by_the_models_name(con: Any, customers: pd.DataFrame) -> None:
    con.register("given", customers)
    query = "SELECT count(*) FROM given WHERE churn(age, spend, calls) <> churn_predict(age, spend, calls)"
    assert one(con, query) == 0
    with pytest.raises(duckdb.CatalogException):
        con.sql("SELECT shop(1.0, 'pen')")


def test_a_row_brings_its_columns_by_name(con: Any, customers: pd.DataFrame) -> None:
    con.register("given", customers[["calls", "Spend", "age"]].assign(extra="x"))
    assert one(con, "SELECT count(*) FROM given g WHERE churn(g) <> churn(age, spend, calls)") == 0
    assert one(con, "SELECT count(DISTINCT churn(g)) FROM given g") == 2
    with pytest.raises(duckdb.BinderException, match=r"(?i)age"):
        con.sql("SELECT churn({'calls': 1, 'spend': 2})").fetchall()


def test_several_outputs_are_a_struct_and_params_go_by_name(con: Any) -> None:
    assert one(con, "SELECT shop_predict(8, 'pen')") == {"gross": 10.0, "label": "pen/x"}
    assert one(con, "SELECT shop_predict(8, 'pen', rate := 0.5, tags => ['a', 'b'])") == {
        "gross": 12.0,
        "label": "pen/a,b",
    }
    assert one(con, "SELECT shop_predict(name := 'pen', price := 8, rate := NULL).gross") == 10.0
    with pytest.raises(duckdb.Error, match=r"shop_predict: .*rate: must be double"):
        con.sql("SELECT shop_predict(8, 'pen', rate := 'much')").fetchall()
    with pytest.raises(duckdb.Error, match="differ from row to row"):
        con.sql("SELECT shop_predict(8, 'pen', rate := x) FROM (VALUES (1), (2)) t(x)").fetchall()
    with pytest.raises(duckdb.BinderException, match="rate"):
        con.sql("SELECT shop_predict(8, 'pen', ratio := 1)")


def test_nulls_reach_the_model(con: Any) -> None:
    assert one(con, "SELECT shop_predict(NULL, NULL)") == {"gross": None, "label": "None/x"}


def test_an_output_may_have_the_name_of_an_input(con: Any, settings: Settings) -> None:
    sql.register_model(con, "tidy", Tidy(), settings=settings)
    assert one(con, "SELECT tidy(' a ')") == "a"


def test_arguments_of_a_wrong_type_or_number_are_refused(con: Any) -> None:
    with pytest.raises(duckdb.BinderException, match="shop_halve"):
        con.sql("SELECT shop_halve(name) FROM (SELECT 'pen' AS name)")
    with pytest.raises(duckdb.BinderException, match="price"):
        con.sql("SELECT shop_halve(1, 2)")


def test_a_row_that_fails_fails_the_query_and_is_told_by_its_arguments(con: Any) -> None:
    with pytest.raises(duckdb.Error, match=r"shop_predict: the row with price=-3.0, name='n777': ValueError: a price"):
        con.sql("SELECT max(shop_predict(IF(range = 777, -3, range), 'n' || range).gross) FROM range(5000)").fetchall()


def test_a_function_without_declared_outputs_says_so_when_it_is_called(con: Any, settings: Settings) -> None:
    with pytest.raises(duckdb.Error, match=r"shop_undeclared: .* does not say what the function returns.*outputs="):
        con.sql("SELECT shop_undeclared(1)").fetchall()
    names = sql.register_model(
        con, "opening", SHOP, function_name="undeclared", outputs={"first": "int64"}, settings=settings
    )
    assert names == ("opening_undeclared", "opening")
    assert one(con, "SELECT sum(opening(range::BIGINT, 'x')) FROM range(10)") == 45
    assert one(con, "SELECT opening({'a': 3, 'b': 'x'})") == 3


def test_a_model_that_was_fitted_without_names_takes_columns_as_they_come(con: Any, settings: Settings) -> None:
    values = np.random.default_rng(3).random((50, 2))
    model = LogisticRegression().fit(values, values[:, 0] > 0.5)
    sql.register_model(con, "bare", model, settings=settings)
    assert one(con, "SELECT bare(0.9, 0.1) AND NOT bare(0.1, 0.9)")
    with pytest.raises(duckdb.Error, match="needs 2 numeric columns"):
        con.sql("SELECT bare(1)").fetchall()


def test_chats_are_functions(con: Any, settings: Settings) -> None:
    sql.register_model(con, "say", "echo:chat", settings=settings)
    assert one(con, "SELECT say('hi', temperature := 0).choices[1].message.content") == "hi"
    assert one(con, "SELECT say([{'role': 'user', 'content': 'yo'}]).choices[1].message.content") == "yo"


def test_functions_over_partitions_are_none_of_sql(con: Any, settings: Settings) -> None:
    with pytest.raises(ModelError, match=r"runs over partitions.*gristmill\.run"):
        sql.register_model(con, "total", SHOP, function_name="total", settings=settings)
    with pytest.raises(duckdb.CatalogException):
        con.sql("SELECT shop_total(1)")
    assert one(con, "SELECT shop_share(range::DOUBLE) FROM range(1, 2)") == 1.0


def test_names_are_made_fit_for_sql_and_do_not_take_those_of_others(con: Any, settings: Settings) -> None:
    assert sql.register_model(con, "Größe 2-b", "echo:row", settings=settings) == ("größe_2_b_echo", "größe_2_b")
    assert one(con, "SELECT größe_2_b({'a': 1})") == '{"a": 1}'
    with pytest.raises(SpecError, match=r"'sum' is an aggregate function .* register_model\(con, 'another_name'"):
        sql.register_model(con, "sum", "churn.joblib", settings=settings)
    con.execute("CREATE MACRO mine(a) AS a")
    with pytest.raises(SpecError, match="'mine' is a macro function"):
        sql.register_model(con, "mine", "churn.joblib", settings=settings)
    assert one(con, "SELECT mine(1)") == 1
    with pytest.raises(SpecError, match="no letter or digit"):
        sql.register_model(con, "--", "churn.joblib", settings=settings)
    with pytest.raises(SpecError, match=r"'a_b_predict' could be a function of"):
        sql.connect(settings=settings, models={"a b": "churn.joblib", "a-b": Shop()})


@pytest.mark.parametrize("name", ["ai_complete", "prompt", "to_file", "read_file"])
def test_functions_of_gristmill_s_own_are_nobody_s_names(con: Any, settings: Settings, name: str) -> None:
    told = rf"'{name}' is a function of Gristmill's own already.* --model another_name="
    with pytest.raises(SpecError, match=told):
        sql.register(con, settings=settings, models={name: "echo:row"})
    with pytest.raises(SpecError, match=told):
        sql.register_model(con, name, SHOP, function_name="halve", settings=settings)


def test_what_a_rollback_has_taken_away_is_registered_again(settings: Settings) -> None:
    with duckdb.connect() as own:
        for _ in range(2):
            own.execute("BEGIN")
            sql.register(own, settings=settings, models={"shop": SHOP})
            assert one(own, "SELECT shop_halve(4.0)") == 2.0
            own.execute("ROLLBACK")
            with pytest.raises(duckdb.CatalogException):
                own.sql("SELECT shop_halve(4.0)")
        sql.register(own, settings=settings, models={"shop": SHOP})
        query = "SELECT count(*) FROM duckdb_functions() WHERE starts_with(function_name, '_gristmill_')"
        known = one(own, query)
        sql.register(own, settings=settings, models={"shop": SHOP})
        assert one(own, query) == known
        own.execute("ATTACH ':memory:' AS other; USE other")
        sql.register(own, settings=settings, models={"shop": SHOP})
        assert one(own, "SELECT shop_halve(4.0)") == 2.0
        assert one(own, "SELECT read_file(NULL)") is None


def test_registering_again_replaces(con: Any, settings: Settings) -> None:
    sql.register_model(con, "it", SHOP, function_name="halve", settings=settings)
    assert one(con, "SELECT it(8)") == 4.0
    sql.register_model(con, "it", "echo:row", settings=settings, outputs={"echo": "string"})
    assert one(con, "SELECT it({'a': 8})") == '{"a": 8}'


def test_a_model_is_loaded_when_it_is_first_called(settings: Settings) -> None:
    gristmill.release_models()
    models = {f"model_{number}": SHOP for number in range(20)}
    Shop.built = 0
    with sql.connect(settings=settings, models=models) as con:
        assert Shop.built == 0
        assert one(con, "SELECT model_19_halve(4.0)") == 2.0
        assert Shop.built == 1


def test_cursors_of_a_database_in_memory_see_the_functions(con: Any) -> None:
    assert one(con.cursor(), "SELECT shop_halve(4.0)") == 2.0


def test_nothing_is_written_into_a_file(settings: Settings) -> None:
    with duckdb.connect("own.duckdb") as own:
        assert "shop_halve" in sql.register(own, settings=settings, models={"shop": SHOP})
        own.execute("CREATE TABLE halves AS SELECT shop_halve(range::DOUBLE) AS half FROM range(3)")
        cursor = own.cursor()
        sql.register(cursor, settings=settings, models={"shop": SHOP})
        assert one(cursor, "SELECT shop_halve(4.0)") == 2.0
    with duckdb.connect("own.duckdb", read_only=True) as later:
        assert later.sql("FROM halves").fetchall() == [(0.0,), (0.5,), (1.0,)]
        query = "SELECT count(*) FROM duckdb_functions() WHERE contains(lower(function_name), 'shop')"
        assert one(later, query) == 0
        sql.register(later, settings=settings, models={"shop": SHOP})
        assert one(later, "SELECT shop_halve(4.0)") == 2.0


def test_many_threads_call_a_function(con: Any, customers: pd.DataFrame, estimator: Any) -> None:
    con.execute("SET threads = 4; CREATE TABLE many AS SELECT c.* FROM customers c, range(100)")
    wanted = int(estimator.predict(customers).sum()) * 100
    assert one(con, "SELECT sum(churn(age, spend, calls)::INT) FROM many") == wanted


def test_files_are_read_where_stages_and_settings_allow_it(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "one.bin").write_bytes(b"12345")
    staged = settings.model_copy(update={"stages": {"db.s.files": str(tmp_path)}})
    with sql.connect(settings=staged, models={"sizes": "python:tests.inplace.models:Sizes"}) as con:
        assert one(con, "SELECT sizes(read_file('@db.s.files/one.bin'))") == 5
        assert one(con, "SELECT read_file(NULL)") is None
        with pytest.raises(duckdb.Error, match="'/etc/passwd' is under none of the stages"):
            con.sql("SELECT read_file('/etc/passwd')").fetchall()
        with pytest.raises(duckdb.Error, match=r"read_file: '@db.s.files/two.bin': FileNotFoundError"):
            con.sql("SELECT read_file('@db.s.files/two.bin')").fetchall()


def test_files_are_read_by_the_settings_that_were_registered_last(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "one.bin").write_bytes(b"12345")
    staged = settings.model_copy(update={"stages": {"files": str(tmp_path)}})
    with sql.connect(settings=settings, models=()) as con:
        sql.register(con, settings=staged, models=())
        assert one(con, "SELECT read_file('@files/one.bin')") == b"12345"
    with duckdb.connect() as own:
        own.execute("CREATE MACRO read_file(path) AS 'mine'")
        sql.register(own, settings=staged, models=())
        assert one(own, "SELECT read_file('@files/one.bin')") == "mine"


def test_models_are_named_in_a_list(settings: Settings) -> None:
    with pytest.raises(SpecError, match=r"models: must be a list such as \['churn'\]"):
        sql.connect(settings=settings, models="churn")


def test_embeddings_are_arrays_of_their_length(settings: Settings) -> None:
    with sql.connect(settings=settings, models={"embed": "python:tests.sql.embedding:Embedder"}) as con:
        assert one(con, "SELECT typeof(embed('a'))") == "FLOAT[3]"
        assert one(con, "SELECT array_cosine_similarity(embed('a'), embed('a'))") == pytest.approx(1)


def test_a_connection_has_four_threads_at_least_unless_it_is_told(settings: Settings) -> None:
    with sql.connect(settings=settings, models=()) as con:
        assert one(con, "SELECT current_setting('threads')") >= 4
    with sql.connect(settings=settings, models=(), config={"threads": 1}) as con:
        assert one(con, "SELECT current_setting('threads')") == 1
