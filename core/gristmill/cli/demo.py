"""`gristmill demo`: a whole job on real data, without a network."""

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gristmill.cli import console
from gristmill.cli.exits import DONE, FAILED, handled
from gristmill.cli.reattach import Reattach
from gristmill.wording.text import count, duration

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.table import Table

    from gristmill.jobs.handle import Job

__all__ = ["demo"]

_GOOD_ENOUGH = 0.9
_SHOWN = 8


def demo(
    pool: Annotated[str, typer.Option(help="local, or ray for two replicas on Ray on this machine.")] = "local",
    output: Annotated[Path, typer.Option(metavar="DIR", help="The folder for everything it writes.")] = Path(
        "gristmill-demo"
    ),
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print the result as one JSON object.")] = False,
) -> None:
    """A whole job in some seconds: read handwritten digits from PNG files.

    Writes scikit-learn's 1,797 digits as PNG files, trains a classifier on
    half of them, and runs it over the other half as a job: file paths in,
    Parquet and _SUCCESS out. Needs no network. Exits with 1 unless more
    than 0.9 of them are read right.
    """
    reattach = Reattach("Interrupted.")
    with handled(as_json=as_json, interrupted=reattach):
        from gristmill import InputSpec, JobSpec, OutputSpec, read_output, run_batch
        from gristmill.cli.follow import follow
        from gristmill.cli.report import print_report
        from gristmill.cli.request import column_handling
        from gristmill.cli.run import settings_allowing
        from gristmill.demo.digits import prepare

        settings = settings_allowing([str((output / "images").resolve())])
        ray = settings.pool(pool).kind == "ray"
        prepared = prepare(output)
        pictures = count(prepared.rows.num_rows + prepared.learned, "picture")
        console.note(f"{pictures} in {_shown(prepared.images)}, a model trained on half of them", style="dim")
        submitted = time.monotonic()
        job = run_batch(
            str(prepared.model),
            prepared.rows,
            compute_pool=pool,
            output_spec=OutputSpec(location=output / "results", mode="overwrite"),
            input_spec=InputSpec(column_handling=column_handling(["image=raw_bytes"])),
            job_spec=JobSpec(job_name_prefix="demo", replicas=2 if ray else 1),
            settings=settings,
        )
        reattach.to(job.id)
        seen = follow(job)
        took = time.monotonic() - submitted
        if seen.status.value != "DONE":
            raise typer.Exit(print_report(job, as_json=as_json, took=took))
        results = read_output(job.location)
        accuracy = _accuracy(results)
        if as_json:
            facts = {
                "id": job.id,
                "status": job.status,
                "location": job.location,
                "pool": pool,
                "replicas": job.target_instances,
            }
            console.print_json({**facts, "rows": results.num_rows, "accuracy": accuracy, "seconds": round(took, 3)})
        else:
            _print(job, results, accuracy=accuracy, took=took, folder=output)
        raise typer.Exit(DONE if accuracy > _GOOD_ENOUGH else FAILED)


def _accuracy(results: "pa.Table") -> float:
    import pyarrow.compute as pc

    right = pc.sum(pc.equal(results["label"], results["digit"])).as_py() or 0
    return float(right / max(results.num_rows, 1))


def _shown(path: Path) -> str:
    """The path as short as it can be said from here."""
    whole = path.resolve()
    return str(whole.relative_to(Path.cwd())) if whole.is_relative_to(Path.cwd()) else str(whole)


def _print(job: "Job", results: "pa.Table", *, accuracy: float, took: float, folder: Path) -> None:
    from rich.text import Text

    right = round(accuracy * results.num_rows)
    where = _shown(Path(job.location))
    good = accuracy > _GOOD_ENOUGH
    some = _some(results)
    if console.out().color_system in ("256", "truecolor") and not console.out().no_color:
        console.out().print(_pictures(some, columns=min(console.out().width, 80) // 10))
        console.out().print()
    console.out().print(_table(some))
    console.out().print()
    replicas = job.target_instances
    pairs: list[tuple[str, Any]] = [
        (
            "accuracy",
            Text(f"{accuracy:.3f}", style="bold green" if good else "bold red")
            + Text(f"  {count(right)} of {count(results.num_rows)} read right", style="default"),
        ),
        ("time", f"{duration(took)} with {count(replicas, 'replica')}, from the request to the end"),
        ("results", where),
        ("job", job.id),
    ]
    console.out().print(console.facts(pairs))
    if not good:
        console.complain(f"accuracy {accuracy:.3f} is not over {_GOOD_ENOUGH}")
        return
    model, images, again = (shlex.quote(_shown(folder / part)) for part in ("model/digits.joblib", "images", "again"))
    run = f"gristmill run {model} \\\n  {images} {again} \\\n  --files '.*\\.png' --column image=raw_bytes"
    steps = [
        ("look at the results", f"gristmill output {shlex.quote(where)}"),
        ("read all the pictures", run),
        ("see what ran", "gristmill jobs list"),
        (
            "on two Ray replicas" if replicas == 1 else "without Ray",
            f"gristmill demo --pool {'ray' if replicas == 1 else 'local'}",
        ),
    ]
    console.out().print("\nNext", style="bold")
    console.out().print(console.facts(steps))


def _some(results: "pa.Table") -> list[dict[str, Any]]:
    """A few results to show: those read wrong with most confidence, after as many that were read right."""
    rows = results.select(["image", "label", "digit", "confidence"]).to_pylist()
    wrong = sorted((row for row in rows if row["digit"] != row["label"]), key=lambda row: -row["confidence"])
    right = [row for row in rows if row["digit"] == row["label"]]
    mistakes = wrong[: _SHOWN // 4]
    return right[: _SHOWN - len(mistakes)] + mistakes


def _table(some: list[dict[str, Any]]) -> "Table":
    from rich.text import Text

    table = console.rows("file", "is", "read as", "confidence", right=("is", "read as", "confidence"))
    for row in some:
        style = "" if row["digit"] == row["label"] else "red"
        read = Text(str(row["digit"]), style=style)
        table.add_row(Path(row["image"]).name, str(row["label"]), read, f"{row['confidence']:.2f}")
    return table


def _pictures(some: list[dict[str, Any]], *, columns: int) -> "Table":
    """The pictures themselves, each two rows of pixels to a line."""
    from rich.style import Style
    from rich.table import Table
    from rich.text import Text

    from gristmill.demo.reader import SIDE, ink_of

    strip = Table.grid(padding=(0, 2))
    cells = []
    for row in some[: max(columns, 1)]:
        ink = ink_of(Path(row["image"]).read_bytes()).reshape(SIDE, SIDE)
        shade = [[round(255 * value) for value in line] for line in ink]
        picture = Text()
        for top, bottom in zip(shade[::2], shade[1::2], strict=True):
            for above, below in zip(top, bottom, strict=True):
                style = Style(color=f"rgb({above},{above},{above})", bgcolor=f"rgb({below},{below},{below})")
                picture.append("▀", style)
            picture.append("\n")
        right = row["digit"] == row["label"]
        picture.append(f"   {row['digit']} {'✓' if right else '✗'}", "green" if right else "red")
        cells.append(picture)
    strip.add_row(*cells)
    return strip
