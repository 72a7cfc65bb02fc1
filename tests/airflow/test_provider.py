"""The provider as Airflow finds it, and what importing it costs."""

import json
import pkgutil
import subprocess
import sys
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema

import airflow_gristmill
from airflow_gristmill.provider_info import PROVIDER_INFO

AIRFLOW = Path(sys.executable).with_name("airflow")
MODULES = sorted(module.name for module in pkgutil.iter_modules(airflow_gristmill.__path__, "airflow_gristmill."))
HEAVY = ("ray", "torch", "pandas", "duckdb", "vllm", "transformers", "pyarrow")

# A warning that is raised on behalf of a module of ours ends the import of it.
IMPORTING = """
import importlib, json, sys, warnings
warnings.filterwarnings("error", category=DeprecationWarning, module="airflow_gristmill")
warnings.filterwarnings("error", category=PendingDeprecationWarning, module="airflow_gristmill")
warnings.filterwarnings("error", category=FutureWarning, module="airflow_gristmill")
for name in sys.argv[2:]:
    importlib.import_module(name)
print(json.dumps([name for name in json.loads(sys.argv[1]) if name in sys.modules]))
"""


def imported(*modules: str, of: tuple[str, ...]) -> list[str]:
    """Which modules are there after some have been imported by a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING, json.dumps(of), *modules], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def cli(*arguments: str) -> Any:
    done = subprocess.run([AIRFLOW, *arguments, "--output", "json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout[done.stdout.index("[") :])


def test_importing_the_package_imports_no_airflow():
    assert imported("airflow_gristmill", "airflow_gristmill.provider_info", of=("airflow", "airflow.sdk")) == []


def test_its_modules_use_no_deprecated_name_and_import_no_heavy_library():
    assert imported(*MODULES, of=HEAVY) == []


def test_every_public_name_is_there():
    assert airflow_gristmill.__all__ == sorted(airflow_gristmill.__all__)
    for name in airflow_gristmill.__all__:
        assert getattr(airflow_gristmill, name).__name__ == name


def test_the_information_is_what_airflows_schema_wants():
    schema = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text())
    jsonschema.validate(PROVIDER_INFO, schema)
    (entry,) = (one for one in entry_points(group="apache_airflow_provider") if one.module == "airflow_gristmill")
    assert entry.dist is not None
    assert entry.load()()["package-name"] == entry.dist.name


def test_every_class_and_module_in_the_information_is_there():
    modules = {
        module
        for part in ("operators", "sensors", "triggers", "hooks")
        for group in PROVIDER_INFO[part]
        for module in group["python-modules"]
    }
    classes = {
        *PROVIDER_INFO["extra-links"],
        *(one["class-name"] for one in PROVIDER_INFO["task-decorators"]),
        *(one["hook-class-name"] for one in PROVIDER_INFO["connection-types"]),
    }
    for path in classes:
        module, _, name = path.rpartition(".")
        modules.add(module)
        assert hasattr(__import__(module, fromlist=[name]), name), path
    assert modules <= {*MODULES}


def test_airflow_lists_the_provider():
    (found,) = (one for one in cli("providers", "list") if one["package_name"] == "gristmill")
    assert found["version"]
    assert PROVIDER_INFO["description"].partition(":")[0] in found["description"]


def test_airflow_lists_the_connection_type_with_its_hook_and_fields():
    (hook,) = (one for one in cli("providers", "hooks") if one["connection_type"] == "gristmill")
    assert hook["class"] == "airflow_gristmill.hook.GristmillHook"
    assert hook["conn_id_attribute_name"] == "gristmill_conn_id"
    assert hook["hook_name"] == "Gristmill"
    widgets = cli("providers", "widgets")
    fields = {one["connection_parameter_name"] for one in widgets if "airflow_gristmill" in one["class"]}
    wanted = PROVIDER_INFO["connection-types"][0]["conn-fields"]
    assert fields == {f"extra__gristmill__{name}" for name in wanted}


def test_airflow_lists_the_links():
    found = {one["extra_link_class_name"] for one in cli("providers", "links")}
    assert {*PROVIDER_INFO["extra-links"]} <= found
