"""Loaded functions, called from several threads, and the cache that keeps them."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import RandomForestRegressor

from gristmill.inplace.cache import LoadedCache
from gristmill.inplace.loaded import LoadedFunction
from gristmill.inplace.target import target_of
from gristmill.storage.storage import Storage
from tests.inplace.interrupts import interrupted
from tests.inplace.models import Shop

PRICES = pa.schema({"price": pa.float64()})


def loaded(storage: Storage, model: object = "echo:", schema: pa.Schema = PRICES, **options: str) -> LoadedFunction:
    return LoadedFunction(target_of(model, storage, **options), schema, params={}, storage=storage)


def test_a_users_model_is_called_by_one_thread_at_a_time(storage: Storage) -> None:
    shop = Shop()
    function = loaded(storage, shop, function_name="halve")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda price: function.infer(pa.record_batch({"price": [price]})), map(float, range(40))))
    assert [batch["half"][0].as_py() for batch in found] == [price / 2 for price in range(40)]
    assert shop.most == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # within a weak reference's callback
def test_wherever_an_interrupt_comes_the_next_call_has_the_model(storage: Storage) -> None:
    cache, batch = LoadedCache(), pa.record_batch({"price": [1.0]})

    def use() -> None:
        for _ in range(4):
            with cache.lease("key", lambda: loaded(storage)) as function:
                function.infer(batch)

    interrupted(use, rounds=2_000, within=200e-6)
    with cache.lease("key", lambda: loaded(storage)) as function, ThreadPoolExecutor(2) as pool:
        assert len(list(pool.map(lambda _: function.infer(batch), range(10)))) == 10
    gc.collect()
    assert cache.release() == 1


def test_a_slow_estimator_has_a_twin_for_each_thread(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gristmill.inplace.loaded._CORES", 3)
    values = np.random.default_rng(0).random((200, 1))
    forest = RandomForestRegressor(30, random_state=0).fit(values, values[:, 0])
    function = loaded(storage, forest)
    batch = pa.record_batch({"price": values[:50, 0]})
    wanted = function.infer(batch)
    with ThreadPoolExecutor(3) as pool:
        assert all(found.equals(wanted) for found in pool.map(lambda _: function.infer(batch), range(12)))
    assert len(function._models) > 1
    function.close()


def test_a_cache_keeps_what_was_used_last_and_what_is_in_use(storage: Storage) -> None:
    cache = LoadedCache(kept=2)
    loads: list[int] = []

    def lease(key: int) -> None:
        def load() -> LoadedFunction:
            loads.append(key)
            return loaded(storage)

        with cache.lease(key, load):
            pass

    with cache.lease("held", lambda: loaded(storage)) as held:
        for key in (1, 2, 3, 3):
            lease(key)
        assert loads == [1, 2, 3]
        assert held.infer(pa.record_batch({"price": [1.0]})).num_rows == 1
        assert len(cache) == 2
    lease(3)
    assert loads == [1, 2, 3]
    assert cache.release() == 2


def test_several_threads_load_a_function_once(storage: Storage) -> None:
    cache, loads, start = LoadedCache(), [], threading.Barrier(4)

    def load() -> LoadedFunction:
        loads.append(1)
        return loaded(storage)

    def use() -> int:
        start.wait()
        with cache.lease("key", load) as function:
            return id(function)

    with ThreadPoolExecutor(4) as pool:
        assert len({future.result() for future in [pool.submit(use) for _ in range(4)]}) == 1
    assert loads == [1]


def test_a_function_that_does_not_load_is_tried_again(storage: Storage) -> None:
    cache = LoadedCache()

    def fail() -> LoadedFunction:
        raise OSError("no")

    with pytest.raises(OSError, match="no"), cache.lease("key", fail):
        pass
    with cache.lease("key", lambda: loaded(storage)) as function:
        assert not function.by_row


def test_a_row_model_serves_several_threads(storage: Storage) -> None:
    from gristmill.inputs.block import Block

    function = loaded(storage, "echo:row")
    rows = pa.record_batch({"price": [float(price) for price in range(300)]})

    def run(_: int) -> int:
        return sum(result.rows.num_rows for result in function.results([Block(0, 0, rows, rows)]))

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(run, range(6))) == [300] * 6
    function.close()
