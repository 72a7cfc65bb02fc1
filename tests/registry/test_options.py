from typing import Any

import pytest

from gristmill import target_platform
from gristmill.errors import SpecError
from gristmill.models.signature import Signature
from gristmill.registry.options import LogOptions, refuse_keywords

FUNCTIONS = {"predict": Signature(), "embed": Signature(), "fit": Signature(kind="partitioned")}


def kinds(options: dict[str, Any]) -> dict[str, str]:
    applied = LogOptions.of(options).applied(FUNCTIONS)
    return {name: signature.kind for name, signature in applied.items()}


def test_no_options_leave_the_functions_as_they_are() -> None:
    assert LogOptions.of(None).applied(FUNCTIONS) == FUNCTIONS


def test_functions_can_be_of_another_kind_one_by_one() -> None:
    methods = {"embed": {"function_type": "TABLE_FUNCTION"}, "predict": {"function_type": "FUNCTION"}}
    assert kinds({"method_options": methods}) == {"predict": "scalar", "embed": "table", "fit": "partitioned"}
    targets = {"function_type": "table_function", "target_methods": ["embed", "predict"]}
    assert kinds({**targets, "method_options": {"predict": {}}}) == {"embed": "table", "predict": "table"}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"python_version": "3.11"}, r"options\.python_version: has no meaning here: .*environment"),
        ({"colour": 1}, r"options\.colour: is not known; the options here are: default_function"),
        ({"function_type": "SCALARY"}, "must be FUNCTION or TABLE_FUNCTION"),
        ({"function_type": "TABLE_FUNCTION"}, "'fit' is partitioned, which its method decides"),
        ({"method_options": {"predict": {"max_batch_size": 3}}}, r"method_options\.predict\.max_batch_size"),
        ({"method_options": {"nix": {"function_type": "FUNCTION"}}}, "no function 'nix'; it has: predict, embed, fit"),
        ({"method_options": ["predict"]}, "give a dict by function"),
        ({"default_function": "nix"}, r"options\.default_function: the model has no function 'nix'"),
        ({"default_function": "fit", "target_methods": ["embed"]}, "no function 'fit'"),
        ({"target_methods": "predict"}, "give a list"),
        ({"target_methods": []}, "give a list"),
        ({"target_methods": 5}, "give a list"),
        ([("a", 1)], "options: give a dict"),
    ],
)
def test_wrong_options_are_refused_with_the_way_out(options: Any, problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        LogOptions.of(options).applied(FUNCTIONS)


def test_arguments_of_other_registries_are_refused_with_the_reason() -> None:
    with pytest.raises(SpecError, match="log_model: conda_dependencies: has no meaning here: list packages in pip"):
        refuse_keywords({"target_platforms": ["X"], "conda_dependencies": ["x"]})
    with pytest.raises(SpecError, match="log_model: versoin_name: is not known"):
        refuse_keywords({"versoin_name": "v1"})
    refuse_keywords({})


def test_what_changes_nothing_is_ignored_with_a_warning():
    with pytest.warns(UserWarning, match="log_model: target_platforms: is ignored: a model runs on any pool"):
        refuse_keywords({"target_platforms": target_platform.SNOWPARK_CONTAINER_SERVICES_ONLY})
    with pytest.warns(UserWarning, match=r"options\.cuda_version: is ignored: a worker runs on the CUDA of its own"):
        assert LogOptions.of({"cuda_version": "12.4"}) == LogOptions()
