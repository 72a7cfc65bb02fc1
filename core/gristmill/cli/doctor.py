"""`gristmill doctor`: what works here, and what to do about what does not."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gristmill.cli import console
from gristmill.cli.exits import DONE, FAILED, handled

if TYPE_CHECKING:
    from gristmill.cli.checks import Check

__all__ = ["doctor"]

_SIGNS = {"ok": ("✓", "green"), "missing": ("-", "yellow"), "failed": ("✗", "bold red")}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")] = False,
) -> None:
    """What works here, and what to do about what does not.

    Looks at Python, the extras, settings, storage, GPUs, Ray and the pools;
    changes nothing and shows no secrets. Exits with 1 if something that
    should work does not; an extra that is not installed is no fault.
    """
    with handled(as_json=as_json):
        from gristmill.cli.checks import examine

        checks: list[Check] = []
        group = ""
        for check in examine():
            checks.append(check)
            if not as_json:
                _print(check, heading=check.group if check.group != group else "")
                group = check.group
        failed = [check for check in checks if check.state == "failed"]
        if as_json:
            console.print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
        else:
            _conclude(failed=len(failed))
        raise typer.Exit(FAILED if failed else DONE)


def _print(check: "Check", *, heading: str) -> None:
    from rich.text import Text

    console_ = console.out()
    if heading:
        console_.print(f"\n{heading}" if heading != "base" else heading, style="bold")
    sign, style = _SIGNS[check.state]
    row = console.facts([])
    detail = Text(check.detail)
    if check.advice:
        detail.append(f"\n→ {check.advice}", style="cyan")
    row.add_row(Text(f"  {sign} ", style=style) + Text(f"{check.name:<13}", style="default"), detail)
    console_.print(row)


def _conclude(*, failed: int) -> None:
    from gristmill.wording.text import count

    console.out().print()
    if failed:
        console.out().print(
            f"{count(failed, 'thing')} that should work {'does' if failed == 1 else 'do'} not; see ✗ above.",
            style="bold red",
        )
    else:
        console.out().print("Everything that should work here does.", style="bold green")
