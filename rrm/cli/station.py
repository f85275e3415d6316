"""The commands about people who rate; the work is in `rrm.api.annotate` and `rrm.api.assist`."""

import json
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rrm.core.errors import ConfigError

station = typer.Typer()

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run's folder, or a new one for items of your own.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on the last line.")]
PublicUrl = Annotated[str | None, typer.Option("--public-url", help="How browsers reach it: https://rate.example.org.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Change a setting of the desk: key=value.")]


class RaterVerb(StrEnum):
    """What is done about raters."""

    list = "list"
    add = "add"
    group = "group"
    invite = "invite"
    pause = "pause"
    resume = "resume"
    requeue = "requeue"
    forget = "forget"
    password = "password"  # noqa: S105
    reset = "reset"
    panel = "panel"
    hours = "hours"
    announce = "announce"


_INVITES = (RaterVerb.add, RaterVerb.invite, RaterVerb.reset, RaterVerb.panel)


class FileVerb(StrEnum):
    """What is done with items or ratings."""

    add = "add"
    list = "list"


class ItemVerb(StrEnum):
    """What is done with items."""

    add = "add"
    list = "list"
    want = "want"
    retire = "retire"


class RoleName(StrEnum):
    """What somebody may do."""

    annotator = "annotator"
    adjudicator = "adjudicator"
    admin = "admin"
    reader = "reader"


class PurposeName(StrEnum):
    """What items are for."""

    work = "work"
    gold = "gold"
    attention = "attention"
    practice = "practice"


@station.command()
def annotate(
    directory: Directory,
    host: Annotated[str, typer.Option(help="Where to listen; other than loopback needs --public-url.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one and says which.")] = 8750,
    public_url: PublicUrl = None,
    settings: Settings = None,
    limits: Annotated[
        list[str] | None, typer.Option("--limit", help="Change a limit of the server: key=value.")
    ] = None,
    guidelines: Annotated[Path | None, typer.Option(help="A Markdown file: the guidelines' latest version.")] = None,
    admin: Annotated[str, typer.Option(help="Whose link is printed; added as admin if new.")] = "admin",
    store: Annotated[str | None, typer.Option(help="PostgreSQL URL of a new record, instead of SQLite.")] = None,
    with_link: Annotated[
        bool | None,
        typer.Option("--link/--no-link", help="Print a link for the admin; default: on a terminal, not into a log."),
    ] = None,
    proxies: Annotated[
        list[str] | None,
        typer.Option("--trusted-proxy", help="A proxy's address or network, whose X-Forwarded-For is believed."),
    ] = None,
) -> None:
    """Serve the pages on which people rate, and print the admin's link where that is asked for or on a terminal."""
    from rrm.api import annotate as work
    from rrm.api.runfile import with_changes

    with work.station_desk(directory, store, tells=True) as desk:
        work.prepare(desk, tuple(settings or ()), guidelines)
        serving = work.Serving(host, port, public_url, with_changes({}, tuple(limits or ())), tuple(proxies or ()))
        wanted = sys.stdout.isatty() if with_link is None else with_link
        work.serve(directory, desk, serving, (lambda: work.admin_token(desk, admin)) if wanted else None, typer.echo)


@station.command()
def raters(
    directory: Directory,
    verb: Annotated[RaterVerb, typer.Argument(help="What to do.")] = RaterVerb.list,
    name: Annotated[
        str | None, typer.Argument(help="A rater's name or pseudonym; a panel's name; an announcement.")
    ] = None,
    role: Annotated[RoleName, typer.Option(help="What the person may do.")] = RoleName.annotator,
    limit: Annotated[int, typer.Option(min=1, help="How many participants a panel's link admits.")] = 100,
    quota: Annotated[int, typer.Option(min=0, help="Answers of each participant of a panel; 0: all there are.")] = 0,
    completion: Annotated[str, typer.Option(help="A panel's completion code, or the https URL of its page.")] = "",
    screen_out: Annotated[str, typer.Option(help="The same for those who do not pass practice.")] = "",
    allow: Annotated[Path | None, typer.Option(help="A file of the ids that may join a panel, one a line.")] = None,
    signed: Annotated[bool, typer.Option("--signed", help="A link of its own for each id of --allow, as CSV.")] = False,
    id_pattern: Annotated[str, typer.Option(help="A regular expression that the ids of a panel fit.")] = "",
    group: Annotated[str, typer.Option(help="add, group, panel: whose items they get beside those for all.")] = "",
    people: Annotated[
        Path | None, typer.Option("--from", help="add: a file of rows with name and perhaps role and group.")
    ] = None,
    zone: Annotated[str, typer.Option(help="hours: whose midnight parts the days, such as Europe/Berlin.")] = "UTC",
    out: Annotated[Path | None, typer.Option(help="Where links or hours go as CSV; -: standard output.")] = None,
    public_url: PublicUrl = None,
    as_json: Json = False,
) -> None:
    """List the people and assistants who rate; add one and print the invitation; group, pause, reset, forget one."""
    from rrm.api import annotate as work

    with work.station_desk(directory) as desk:
        known = public_url or work.known_address(directory)
        address = known or work.USUAL_ADDRESS
        if known is None and verb in _INVITES:
            typer.echo(
                f"rrm: nobody served {directory} yet: links lead to {address}, where rrm annotate serves it unless told"
                " otherwise; for another --port or --public-url, serve it first, or give --public-url here",
                err=True,
            )
        if verb is RaterVerb.list:
            _rows(work.rater_rows(desk), as_json, "nobody yet: add people with rrm raters DIR add NAME")
            return
        if verb is RaterVerb.hours:
            _listed({"zone": zone, "rows": work.hours_rows(desk, zone)}, out, as_json)
            return
        if verb is RaterVerb.add and people is not None:
            _listed(work.add_raters(desk, people, role.value, address, group), out, as_json)
            return
        if name is None:
            raise ConfigError(f"rrm raters DIR {verb.value} needs a name")
        if verb is RaterVerb.announce:
            _values({"announced": work.announce(desk, name)}, as_json)
            return
        if verb is RaterVerb.panel:
            rules = work.panel_rules(quota, completion, screen_out, allow, signed, id_pattern, group)
            told = work.open_panel(desk, name, limit, rules, address)
            _listed(told, out, as_json) if signed else _values(told, as_json)
            return
        _values(work.change_raters(desk, verb.value, name, role.value, address, _ask, group), as_json)


@station.command()
def items(
    directory: Directory,
    verb: Annotated[ItemVerb, typer.Argument(help="What to do.")] = ItemVerb.list,
    file: Annotated[
        Path | None,
        typer.Argument(help="Items: .jsonl, .json, .csv or .parquet; to retire, an id or a file of ids."),
    ] = None,
    purpose: Annotated[
        PurposeName | None, typer.Option("--as", help="What they are for; default: as the rows say, or work.")
    ] = None,
    wanted: Annotated[int | None, typer.Option(min=1, help="Answers from so many raters each.")] = None,
    disputed: Annotated[bool, typer.Option("--disputed", help="want: only items on which raters differ.")] = False,
    place: Annotated[str | None, typer.Option(help="want: only items of this place, such as 0/answer/2.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse items of which there is anything to note.")] = False,
    as_json: Json = False,
) -> None:
    """Count the items by level, kind and state; add those of a file; want more answers to them; retire some."""
    from rrm.api import annotate as work

    with work.station_desk(directory) as desk:
        if verb is ItemVerb.list:
            _rows(
                [{**asdict(each), "place": str(each.place)} for each in desk.progress()],
                as_json,
                "no items yet: a run lays them here, or rrm items DIR add FILE",
            )
            return
        if verb is ItemVerb.want:
            if wanted is None:
                raise ConfigError("rrm items DIR want needs --wanted, how many answers each item is to have")
            _values(work.want_answers(desk, wanted, place, disputed), as_json)
            return
        if file is None:
            raise ConfigError(f"rrm items DIR {verb.value} needs a file")
        if verb is ItemVerb.retire:
            _values(work.retire_items(desk, file), as_json)
            return
        _values(work.add_items(desk, file, purpose.value if purpose else None, wanted, strict), as_json)


@station.command()
def ratings(
    directory: Directory,
    verb: Annotated[FileVerb, typer.Argument(help="add: take the file's ratings as answers.")],
    file: Annotated[Path, typer.Argument(help="Ratings made elsewhere: .jsonl, .json, .csv or .parquet.")],
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse ratings of which there is anything to note.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take ratings made elsewhere as answers to items; those that are on record already change nothing."""
    from rrm.api import annotate as work

    if verb is not FileVerb.add:
        raise ConfigError("rrm ratings DIR add FILE is all there is; rrm export DIR writes those on record")
    with work.station_desk(directory) as desk:
        _values(work.add_ratings(desk, file, strict), as_json)


@station.command()
def assist(
    directory: Directory,
    name: Annotated[str, typer.Argument(help="The assistant's name among the raters; added if new.")],
    plugin: Annotated[str, typer.Option(help="The rater.")] = "rrm.raters.assistant:AssistantRater",
    arguments: Annotated[list[str] | None, typer.Option("--set", help="An argument of the rater: key=value.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A LangChain chat model, if the run file has no [assistants].")
    ] = None,
    model_arguments: Annotated[list[str] | None, typer.Option("--model-set", help="An argument of the model.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many answers.")] = None,
    as_json: Json = False,
) -> None:
    """Have an assistant rate as one of the raters: it leases items, practises and meets the same checks."""
    from rrm.api import assist as work
    from rrm.api.annotate import station_desk

    told = (plugin, tuple(arguments or ()), model, tuple(model_arguments or ()))
    with station_desk(directory, waits=True) as desk, work.rater_of(directory, *told) as rater:
        _values(work.rate_items(desk, name, rater, limit), as_json)


def _ask(what: str) -> str:
    return str(typer.prompt(what, hide_input=True, confirmation_prompt=True))


def _listed(told: dict[str, Any], out: Path | None, as_json: bool) -> None:
    """Print what was done, and its `rows` as CSV: to a file, or on standard output, where nothing else stands then."""
    from rrm.api.annotate import write_csv

    rows = told.pop("rows")
    if as_json and out is None:
        typer.echo(json.dumps({**told, "rows": rows}))
        return
    written = write_csv(rows, out)
    if written is not None:
        _values({**told, "written": str(written), "rows": len(rows)}, as_json)


def _values(values: dict[str, Any], as_json: bool) -> None:
    from rrm.cli.tables import lines

    if as_json:
        typer.echo(json.dumps(values))
        return
    for note in [*([values["read"]] if "read" in values else []), *values.get("notes", ())]:
        typer.echo(f"rrm: {note}", err=True)
    typer.echo(lines({**values, "read": None, "notes": None}))


def _rows(rows: list[dict[str, Any]], as_json: bool, otherwise: str) -> None:
    if as_json:
        typer.echo(json.dumps({"rows": rows}))
        return
    if not rows:
        typer.echo(otherwise)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*(name.replace("_", " ") for name in rows[0]), box=None)
    for row in rows:
        table.add_row(*("–" if each is None else str(each) for each in row.values()))
    Console(markup=False, highlight=False, emoji=False).print(table)
