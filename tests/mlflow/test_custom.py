import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import S3Server

from gristmill.errors import ModelError
from gristmill.mlflow.custom import check_artifacts, load_custom, save_custom
from gristmill.models.custom import CustomModel, ModelContext, inference_api
from gristmill.storage.storage import Storage


class Reader(CustomModel):
    """Reads its words when it is built, and holds what no pickle can."""

    def __init__(self, context: ModelContext) -> None:
        super().__init__(context)
        self.lock = threading.Lock()
        self.words = Path(context.path("words")).read_text().split()

    @inference_api(outputs={"words": "int64"})
    def predict(self, df: Any) -> Any:
        return [len(self.words)] * len(df)


class Tuned(CustomModel):
    """Takes more than its context, so that it travels as it is."""

    def __init__(self, context: ModelContext, factor: int) -> None:
        super().__init__(context)
        self.factor, self.place = factor, Path(context.path("folder")) / "deep" / "a.txt"
        self.column = "folder"

    @inference_api
    def predict(self, df: Any) -> Any:
        return [self.factor] * len(df)


def test_a_custom_model_is_built_again_from_its_context(storage: Storage, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("one two")
    model = Reader(ModelContext(models={"double": lambda x: 2 * x}, artifacts={"words": str(words)}))
    save_custom(model, tmp_path / "a", storage)
    words.unlink()
    shutil.move(tmp_path / "a", tmp_path / "elsewhere")
    found = load_custom(tmp_path / "elsewhere")
    assert found.words == ["one", "two"]
    assert found.context.model_ref("double")(21) == 42
    assert Path(found.context.path("words")).is_relative_to(tmp_path / "elsewhere")


def test_one_that_takes_more_keeps_its_state_and_finds_its_files(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "deep" / "a.txt").write_text("here")
    model = Tuned(ModelContext(artifacts={"folder": str(tmp_path / "folder") + "/"}), factor=7)
    save_custom(model, tmp_path / "a", storage)
    shutil.rmtree(tmp_path / "folder")
    found = load_custom(tmp_path / "a")
    assert (found.factor, found.place.read_text(), found.column) == (7, "here", "folder")
    assert (Path(found.context.path("folder")) / "deep" / "a.txt").read_text() == "here"


def test_one_that_was_made_with_more_than_it_must_have_keeps_that(storage: Storage, tmp_path: Path) -> None:
    class Scaled(CustomModel):
        def __init__(self, context: ModelContext, factor: int = 3) -> None:
            super().__init__(context)
            self.factor = factor

        @inference_api
        def predict(self, df: Any) -> Any:
            return [self.factor] * len(df)

    words = tmp_path / "words.txt"
    words.write_text("one two")
    save_custom(Scaled(ModelContext(artifacts={"words": str(words)}), factor=7), tmp_path / "a", storage)
    found = load_custom(tmp_path / "a")
    assert found.factor == 7
    assert Path(found.context.path("words")).is_relative_to(tmp_path / "a")


class Unbuilt(CustomModel):
    """Is given as a class, and holds what no pickle can."""

    def __init__(self, context: ModelContext) -> None:
        super().__init__(context)
        self.lock = threading.Lock()

    @inference_api
    def predict(self, df: Any) -> Any:
        return [len(self.context.artifacts)] * len(df)


def test_a_class_is_built_where_it_is_loaded_and_a_function_stays_one(storage: Storage, tmp_path: Path) -> None:
    save_custom(Unbuilt, tmp_path / "class", storage)
    save_custom(lambda df: df["x"] * 2, tmp_path / "function", storage)
    assert load_custom(tmp_path / "class").predict([1, 2]) == [0, 0]
    assert load_custom(tmp_path / "function")({"x": 4}) == 8


def test_a_class_that_cannot_be_built_says_why(storage: Storage, tmp_path: Path) -> None:
    save_custom(Reader, tmp_path / "class", storage)
    with pytest.raises(ModelError, match="context has no artifact 'words'"):
        load_custom(tmp_path / "class")


def test_what_was_set_on_a_model_is_kept_where_it_is_no_context_that_it_is_made_of(
    storage: Storage, tmp_path: Path
) -> None:
    for name, models in (("empty", {}), ("full", {"double": lambda x: 2 * x})):
        model = CustomModel(ModelContext(models=models))
        model.extra = 5
        save_custom(model, tmp_path / name, storage)
    assert load_custom(tmp_path / "empty").extra == 5
    assert not hasattr(load_custom(tmp_path / "full"), "extra")


def test_files_of_one_name_do_each_other_no_harm(storage: Storage, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "words.txt").write_text(f"{name} " * 2)
    context = ModelContext(artifacts={"words": f"{tmp_path}/a/words.txt", "../others": f"{tmp_path}/b/words.txt"})
    save_custom(Reader(context), tmp_path / "m", storage)
    found = load_custom(tmp_path / "m")
    assert Path(found.context.path("../others")).read_text() == "b b "
    assert Path(found.context.path("../others")).resolve().is_relative_to(tmp_path / "m")


def test_files_on_other_storage_are_taken_along(s3: S3Server, tmp_path: Path) -> None:
    storage = Storage(s3.settings)
    storage.write_bytes(f"{s3.root}/words/deep/a.txt", b"one")
    model = Tuned(ModelContext(artifacts={"folder": "@db.public.bucket/words"}), factor=1)
    save_custom(model, tmp_path / "m", storage)
    found = load_custom(tmp_path / "m")
    assert (Path(found.context.path("folder")) / "deep" / "a.txt").read_text() == "one"


def test_a_missing_file_is_named_before_anything_is_written(storage: Storage, tmp_path: Path) -> None:
    model = Tuned(ModelContext(artifacts={"folder": str(tmp_path / "nowhere")}), factor=1)
    with pytest.raises(ModelError, match="artifact 'folder': there is no file or folder .*nowhere"):
        save_custom(model, tmp_path / "m", storage)
    assert not (tmp_path / "m").exists()


def test_a_model_without_files_has_none(storage: Storage) -> None:
    assert check_artifacts(Reader, storage) == {}
    assert check_artifacts(lambda df: df, storage) == {}


def test_what_cannot_be_pickled_is_refused_with_the_way_out(storage: Storage, tmp_path: Path) -> None:
    class Locked:
        def __init__(self) -> None:
            self.lock = threading.Lock()

        @inference_api
        def predict(self, df: Any) -> Any:
            return df

    with pytest.raises(ModelError, match="Locked.* cannot be pickled: .*lock.*leave out of it"):
        save_custom(Locked(), tmp_path / "m", storage)


def test_damage_is_told(storage: Storage, tmp_path: Path) -> None:
    save_custom(lambda df: df, tmp_path / "m", storage)
    (tmp_path / "m" / "model" / "model.pkl").write_bytes(b"\x80no pickle")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_custom(tmp_path / "m")
