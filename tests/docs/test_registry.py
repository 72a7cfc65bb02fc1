import shutil
from pathlib import Path

from gristmill.settings import Settings
from tests.docs.pages import ROOT, python, write_files

PAGE = ROOT / "docs" / "registry.md"


def test_the_pages_examples_run_in_an_empty_folder(settings: Settings, registry_template: Path) -> None:
    registry = Path(settings.home) / "registry"
    registry.mkdir(parents=True)
    shutil.copy(registry_template, registry / "mlflow.db")
    names = write_files(PAGE, Path.cwd())
    assert names == ["log.py", "use.py", "transcriber.py", "versions.py", "plain.py"]
    Path("all.py").write_text("\n".join(f"import {name.removesuffix('.py')}" for name in names))
    said = python("all.py")  # in one process, which saves loading MLflow five times
    assert "DONE 2 rows" in said
    assert "[{'audio': 'UklGRg==', 'outputs': {'text': 'TWO WORDS', 'chunks': []}}]" in said
    assert "models:/churn/1 {'champion': 1, 'default': 1}" in said
