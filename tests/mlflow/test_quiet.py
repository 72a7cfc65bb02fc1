import threading
import warnings

import pytest

from gristmill.mlflow.quiet import quiet


def test_warnings_are_heard_again_after_calls_in_threads_that_overlap() -> None:
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def second() -> None:
        first_is_in.wait()
        with quiet():
            second_is_in.set()
            first_is_out.wait()

    with quiet():
        pass  # MLflow is imported, which sets filters of its own
    before = list(warnings.filters)
    thread = threading.Thread(target=second)
    thread.start()
    with quiet():
        first_is_in.set()
        second_is_in.wait()
    first_is_out.set()
    thread.join()
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)


def test_warnings_within_are_dropped(recwarn: pytest.WarningsRecorder) -> None:
    with quiet(), quiet():
        warnings.warn("not heard", stacklevel=1)
    assert not list(recwarn)
