"""`gristmill serve`, and `gristmill services`: what is served, and the hold one has on it."""

import signal
import sys
import time
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gristmill.cli import console
from gristmill.cli.exits import FAILED, handled
from gristmill.wording.text import age, cut, one_line, printable

if TYPE_CHECKING:
    from gristmill.services.service import Service

__all__ = ["serve", "services"]

services = typer.Typer(name="services", no_args_is_help=True, help="List, show and drop services; read their logs.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A service's name.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")]

_LOOK = 0.3
"""Seconds between looks at the log that is followed."""


class _Interrupted:
    """What somebody who presses Ctrl-C is told, which depends on what has been done by then."""

    def __init__(self) -> None:
        self.text = "Interrupted."

    def __str__(self) -> str:
        return self.text


def serve(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="hf:<name or folder>, a model's folder, models:/name/3, or echo:chat, which needs nothing installed.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="By which SQL and jobs find it.", show_default=False)
    ],
    pool: Annotated[str | None, typer.Option(metavar="POOL", help="Where it runs.", show_default=False)] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Where it listens; any that is free.", show_default=False)
    ] = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address that it listens at.")] = "127.0.0.1",
    gpus: Annotated[
        str | None, typer.Option("--gpus", metavar="N", help="GPUs to cut the model over.", show_default=False)
    ] = None,
    cpus: Annotated[
        str | None, typer.Option("--cpus", metavar="N", help="CPU threads of the model.", show_default=False)
    ] = None,
    served_model_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What requests call the model.", show_default=False)
    ] = None,
    engine_arg: Annotated[
        list[str] | None,
        typer.Option(metavar="ARG", help="For vLLM's server: --engine-arg=--max-model-len=4096.", show_default=False),
    ] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", metavar="", help="Let the model's own files run code.")
    ] = False,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="Until when it must answer.")] = 600.0,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", metavar="", help="Come back once it answers; it goes on by itself.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Serve a chat model under an address that speaks the OpenAI API.

    Its log is printed until it ends, or Ctrl-C or SIGTERM drops it; with --detach it outlives this command. It asks for
    a key, which gristmill services show --key prints, and only this machine reaches it unless --host says otherwise.
    """
    said = _Interrupted()
    with handled(as_json=as_json, interrupted=said):
        from gristmill import create_service, get_service
        from gristmill.errors import ServiceNotFoundError

        try:
            earlier = get_service(name).status
        except ServiceNotFoundError:
            earlier = None
        service = create_service(
            name,
            model,
            pool=pool,
            port=port,
            host=host,
            gpu_requests=gpus,
            cpu_requests=cpus,
            served_model_name=served_model_name,
            engine_args_override=engine_arg or [],
            trust_remote_code=trust_remote_code,
            timeout=timeout,
            block=False,
        )
        mine = earlier is None or earlier.has_ended
        if detach:
            said.text = f"\nInterrupted; the service goes on. Drop it with: gristmill services drop {service.name}"
            service.wait()
            service.raise_for_end()
            _print(service, as_json=as_json)
            return
        for number in (signal.SIGHUP, signal.SIGTERM):  # a terminal that is closed, and what stops programs like this
            signal.signal(number, _interrupt)
        try:
            code = _follow(service, as_json=as_json)
        except KeyboardInterrupt:
            if mine:
                said.text = f"\nInterrupted; the service {service.name!r} has ended."
                _drop(service)
            else:
                said.text = f"\nInterrupted; the service {service.name!r} ran before, and goes on."
            raise
        raise typer.Exit(code)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _drop(service: "Service") -> None:
    from gristmill.errors import ServiceNotFoundError

    try:
        service.drop()
    except ServiceNotFoundError:
        return


def _follow(service: "Service", *, as_json: bool) -> int:
    """Print the log of a service until it ends; stdout has only the service itself, once it answers."""
    from gristmill.errors import ServiceNotFoundError
    from gristmill.services.status import ServiceStatus

    is_told = False
    try:
        tail = service.tail()
        while True:
            status = service.status  # before the log, so that its end is not missed
            while lines := tail.lines():
                sys.stderr.writelines(f"{printable(line)}\n" for line in lines)
            sys.stderr.flush()
            if status is ServiceStatus.RUNNING and not is_told:
                is_told = True
                _print(service, as_json=as_json)
                sys.stdout.flush()
            if status.has_ended:
                console.complain(f"service {service.name!r}: {service.message}")
                return FAILED
            time.sleep(_LOOK)
    except ServiceNotFoundError:
        console.note(f"service {service.name!r} was dropped")
        return 0


def _facts(service: "Service", *, key: bool = False) -> dict[str, Any]:
    facts = service.facts()
    for name in ("created_time", "ready_time", "ended_time"):
        facts[name] = None if facts[name] is None else datetime.fromtimestamp(facts[name], UTC)
    return {**facts, **({"api_key": service.api_key} if key else {})}


def _print(service: "Service", *, as_json: bool, key: bool = False) -> None:
    from rich.text import Text

    facts = _facts(service, key=key)
    if as_json:
        console.print_json(facts)
        return
    pairs: list[tuple[str, Any]] = [
        ("service", facts["name"]),
        ("status", Text(facts["status"], style=console.status_style(facts["status"]))),
        ("message", printable(facts["message"])),
        ("address", facts["base_url"]),
        ("key", facts.get("api_key", "")),
        ("model", printable(facts["model"])),
        ("called", facts["served_model"] if facts["served_model"] != facts["model"] else ""),
        ("pool", facts["compute_pool"]),
        ("machine", facts["machine"]),
        ("arguments", " ".join(facts["engine_args_override"])),
        ("created", age(facts["created_time"], datetime.now(UTC))),
    ]
    console.out().print(console.facts(pairs))


@services.command("list")
def list_(as_json: JsonOption = False) -> None:
    """All services."""
    with handled(as_json=as_json):
        from gristmill import list_services

        found = list_services().collect()
        if as_json:
            console.print_json(found)
            return
        if not found:
            console.note("There are no services yet. A first one: gristmill serve echo:chat --name echo")
            return
        from rich.text import Text

        table = console.rows("service", "status", "address", "model", "created", "message", fold=("address",))
        for one in found:
            table.add_row(
                one["name"],
                Text(one["status"], style=console.status_style(one["status"])),
                one["base_url"],
                cut(one_line(one["model"]), 60),
                age(one["created_time"], datetime.now(UTC)),
                one_line(one["message"]),
            )
        console.out().print(table)


@services.command()
def show(
    name: NameArgument,
    key: Annotated[bool, typer.Option("--key", metavar="", help="Print its key too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """One service: its state, its address, its model."""
    with handled(as_json=as_json):
        from gristmill import get_service

        _print(get_service(name), as_json=as_json, key=key)


@services.command()
def logs(
    name: NameArgument,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="LINES", help="Only the last so many.", show_default=False)
    ] = -1,
) -> None:
    """What a service's server printed."""
    with handled():
        from gristmill import get_service

        clean = printable if sys.stdout.isatty() else str
        sys.stdout.writelines(f"{clean(line)}\n" for line in get_service(name).logs(limit).splitlines())


@services.command()
def drop(
    name: Annotated[list[str], typer.Argument(metavar="NAME...", help="Services' names.", show_default=False)],
    missing_ok: Annotated[
        bool, typer.Option("--missing-ok", metavar="", help="One that is not there is dropped already.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """End services, and forget them with their logs and keys."""
    with handled(as_json=as_json):
        from gristmill import drop_service

        for each in name:
            drop_service(each, missing_ok=missing_ok)
            if not as_json:
                console.out().print(f"{each}  dropped")
        if as_json:
            console.print_json([{"name": each, "status": "DROPPED"} for each in name])
