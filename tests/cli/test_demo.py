from pathlib import Path

from tests.cli.conftest import Cli

from gristmill import read_manifest, read_output


def test_the_demo_reads_digits_and_runs_again(cli: Cli) -> None:
    first = cli("demo", "--json")
    assert first.code == 0, first.err
    assert first.json["rows"] == 899
    assert first.json["accuracy"] > 0.9
    location = cli.folder / "gristmill-demo" / "results"
    assert first.json["location"] == str(location)
    assert (location / "_SUCCESS").is_file()
    results = read_output(location)
    assert results.column_names == ["image", "label", "digit", "confidence"]
    assert all(Path(path).is_file() for path in results["image"].to_pylist())
    assert len(list((cli.folder / "gristmill-demo" / "images").glob("*.png"))) == 1797
    second = cli("demo")
    assert second.code == 0, second.err
    assert "accuracy" in second.out
    assert "gristmill demo --pool ray" in second.out
    assert read_manifest(location).job != first.json["id"]


def test_what_the_demo_proposes_next_works(cli: Cli) -> None:
    assert cli("demo", "--json").code == 0
    arguments = ["--files", r".*\.png", "--column", "image=raw_bytes", "--json"]
    done = cli("run", "gristmill-demo/model/digits.joblib", "gristmill-demo/images", "gristmill-demo/again", *arguments)
    assert (done.code, done.json["rows"]) == (0, 1797), done.err
    assert cli("output", "gristmill-demo/results").code == 0


def test_two_ray_replicas_read_digits_too(cli: Cli) -> None:
    done = cli("demo", "--pool", "ray", "--json")
    assert done.code == 0, done.err
    assert (done.json["replicas"], done.json["rows"]) == (2, 899)
    assert done.json["accuracy"] > 0.9


def test_an_unknown_pool_is_refused_before_anything_is_written(cli: Cli) -> None:
    assert cli("demo", "--pool", "mars").code == 2
    assert not (cli.folder / "gristmill-demo").exists()


def test_the_demo_writes_where_it_is_told(cli: Cli) -> None:
    done = cli("demo", "--output", "with a space")
    assert done.code == 0, done.err
    assert (cli.folder / "with a space" / "results" / "_SUCCESS").is_file()
    assert "gristmill output 'with a space/results'" in done.out
