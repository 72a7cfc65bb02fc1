from tests.cli.conftest import Cli


def test_files_are_listed_one_a_line(cli: Cli) -> None:
    folder = cli.folder / "photos" / "deep"
    folder.mkdir(parents=True)
    for name in ("b.png", "a b.png", "c.txt"):
        (folder / name).touch()
    done = cli("files", "photos", "--pattern", r".*\.png")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [str(folder / "a b.png"), str(folder / "b.png")]
    assert cli("files", "photos", "--json").json == [str(folder / name) for name in ("a b.png", "b.png", "c.txt")]


def test_a_listing_of_nothing_is_refused(cli: Cli) -> None:
    done = cli("files", "nowhere", "--json")
    assert done.code == 2
    assert done.json["error"]["type"] == "EmptyInputError"


def test_an_unknown_stage_is_refused_with_those_there_are(cli: Cli) -> None:
    (cli.folder / "gristmill.toml").write_text('[stages]\nphotos = "somewhere"\n')
    done = cli("files", "@pictures")
    assert done.code == 2
    assert "@photos" in done.err
