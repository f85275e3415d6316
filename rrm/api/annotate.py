"""The annotator's station over a run's folder: what `rrm annotate`, `raters`, `items`, `ratings` and `assist` do."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rrm.agreement.hours import hours, time_zone
from rrm.api.look import REPORT
from rrm.api.people import write_guidelines
from rrm.api.reordering import reordering
from rrm.api.runfile import with_changes
from rrm.core.annotation import ROLES, Exit, Item, PanelLinks, PanelRules, Person, Purpose, Role
from rrm.core.desk import PlaceControl
from rrm.core.errors import ConfigError, InputError, LockedError, MissingError, StoreError
from rrm.core.place import Place
from rrm.files.texts import decoded
from rrm.files.whole import durable
from rrm.interchange.annotations import csv
from rrm.interchange.items import item_notes, items_from, items_read, read_ratings
from rrm.interchange.notes import refuse_guesses
from rrm.interchange.rows import read_rows
from rrm.queue import SqlDesk, open_desk
from rrm.queue.groups import in_groups
from rrm.queue.sheets import in_sheets
from rrm.store.lock import RunLock
from rrm.store.outage import PATIENCE_SECONDS
from rrm.store.record import open_store

ADDRESS = "station.json"
"""Says in a run's folder under which address its station was last served."""

LOG = "run.log"
"""What a run that was started from the admin's page said."""

COMMAND_LINE = "command line"
"""Who changes what a command changes, in the audit."""


@contextmanager
def station_desk(
    directory: Path, url: str | None = None, waits: bool = False, tells: bool = False
) -> Iterator[SqlDesk]:
    """Open the desk of a folder; one without a record gets an empty one, so that any items can be rated.

    Who `waits` for a database that goes away does so for minutes; others are told at once, with `tells` the log, too.
    """
    try:
        open_store(directory, "read").close()
    except StoreError:
        if directory.exists() and not directory.is_dir():
            raise
        open_store(directory, "run", url=url).close()
    with open_desk(directory, patience=PATIENCE_SECONDS if waits else 0.0, tells=tells) as desk:
        yield desk


def prepare(desk: SqlDesk, changes: Sequence[str], guidelines: Path | None) -> None:
    """Change the settings that the command line gives, and bring the guidelines up to date."""
    settings = with_changes({}, changes)
    if settings:
        desk.change_settings(settings, COMMAND_LINE)
    if guidelines is not None:
        write_guidelines(desk, guidelines, COMMAND_LINE)


def admin_token(desk: SqlDesk, name: str = "admin") -> str:
    """Return a new one-use token of the admin of this name, who is added where there is none."""
    found = next((each for each in desk.persons() if each.name == name and each.role == "admin"), None)
    person = found or desk.add_person(name, "admin", by=COMMAND_LINE)
    return desk.invite(person.id, COMMAND_LINE)


def write_csv(rows: Sequence[Mapping[str, Any]], out: Path | None) -> Path | None:
    """Write rows as CSV for a spreadsheet and return where; on standard output (None) for - or nothing."""
    content = b"".join(csv(dict(row) for row in rows))
    if out is None or str(out) == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return None
    durable(out, content)
    out.chmod(0o600)  # links let people in, and names are nobody else's
    return out


# ---- addresses ----


def link(address: str, token: str) -> str:
    """Return an invitation: the token stands in the fragment, which browsers send to nobody."""
    return f"{address}/join#{token}"


def remember_address(directory: Path, address: str) -> None:
    """Note under which address the station is served, for invitations made later."""
    (directory / ADDRESS).write_text(json.dumps({"address": address}), "utf-8")


def known_address(directory: Path) -> str | None:
    """Return the address under which the station was last served, None before that."""
    try:
        return str(json.loads((directory / ADDRESS).read_text("utf-8"))["address"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


# ---- raters ----


def named(desk: SqlDesk, name: str | None) -> Person:
    """Return the person of this name or pseudonym; raise InputError naming those there are."""
    persons = desk.persons()
    found = [each for each in persons if name in (each.id, each.name)]
    if not found:
        known = ", ".join(each.name or each.id for each in persons) or "nobody yet"
        raise MissingError(f"no rater is called {name!r}; there are: {known}")
    return found[0]


def rater_rows(desk: SqlDesk) -> list[dict[str, Any]]:
    """Return everybody, with what they have done."""
    rows = []
    for person in desk.persons():
        done = desk.own_progress(person.id).done
        about = {"role": person.role, "group": person.group, "state": person.state, "done": done}
        rows.append({"name": person.name, "id": person.id, **about})
    return rows


def change_raters(
    desk: SqlDesk, verb: str, name: str, role: Role, address: str, ask: Callable[[str], str], group: str = ""
) -> dict[str, Any]:
    """Do to a rater what the verb says, and return what there is to tell."""
    if verb == "add":
        person = desk.add_person(name, role, group=group, by=COMMAND_LINE)
        return {"added": name, "id": person.id, "invitation": link(address, desk.invite(person.id, COMMAND_LINE))}
    person = named(desk, name)
    if verb == "group":
        desk.set_group(person.id, group, COMMAND_LINE)
        return {"rater": name, "group": group or "none"}
    if verb == "invite":
        return {"invited": name, "invitation": link(address, desk.invite(person.id, COMMAND_LINE))}
    if verb == "reset":
        desk.reset_password(person.id, COMMAND_LINE)
        return {"reset": name, "invitation": link(address, desk.invite(person.id, COMMAND_LINE))}
    if verb == "password":
        desk.set_password(person.id, ask(f"new password of {name}"), COMMAND_LINE)
        return {"password": f"set for {name}"}
    if verb == "requeue":
        return {"requeued": name, "answers_taken_back": desk.requeue(person.id, COMMAND_LINE)}
    if verb == "forget":
        desk.forget(person.id, COMMAND_LINE)
        return {"forgotten": person.id, "answers": "stay under the pseudonym"}
    desk.set_state(person.id, "paused" if verb == "pause" else "active", COMMAND_LINE)
    return {verb: name}


def add_raters(desk: SqlDesk, file: Path, role: Role, address: str, group: str = "") -> dict[str, Any]:
    """Add the people of a file, with `name` and perhaps `role` and `group` in a row: all, or none.

    Returns their links as rows.
    """
    several: list[tuple[str, Role, str]] = []
    for line, row in read_rows(file):
        name, own = row.get("name"), row.get("role") or role
        if unknown := [each for each in row if each not in ("name", "role", "group")]:
            raise InputError(
                f"{file}: there is no column {unknown[0]!r:.40} in a list of people: there are name, role and group;"
                " rename or remove it"
            )
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"{file}, row {line}: a person has a name, in the column name")
        if own not in ROLES:
            raise InputError(f"{file}, row {line}: there is no role {own!r:.40}; there are {', '.join(ROLES)}")
        several.append((name, own, row.get("group") or group))
    if not several:
        raise InputError(f"{file} holds nobody")
    added = desk.add_persons(several, by=COMMAND_LINE)
    rows = [
        {"name": each.name, "id": each.id, "role": each.role, "link": link(address, desk.invite(each.id, COMMAND_LINE))}
        for each in added
    ]
    return {"added": len(rows), "rows": rows}


def hours_rows(desk: SqlDesk, zone: str) -> list[dict[str, Any]]:
    """Return who worked how long on which day: the pay report."""
    names = {each.id: each.name for each in desk.persons()}
    found = hours(desk.answers(), desk.skips(), time_zone(zone))
    return [{"day": None, "person": None, "name": names.get(each.person), **each.row()} for each in found]


def announce(desk: SqlDesk, text: str) -> int:
    """Tell all raters something; return the message's number."""
    return desk.announce(text, COMMAND_LINE)


def panel_rules(
    quota: int, completion: str, screen_out: str, allow: Path | None, signed: bool, id_pattern: str, group: str = ""
) -> PanelRules:
    """Return a panel's rules as a command gives them; InputError for a file of ids that cannot be read."""
    allowed = None if allow is None else tuple(_lines(allow, "the participant ids"))
    if signed and allowed is None:
        raise ConfigError("--signed makes a link for each id of a list: give the list with --allow FILE")
    return PanelRules(quota, _exit(completion), _exit(screen_out), allowed, signed, id_pattern, group)


def open_panel(desk: SqlDesk, name: str, limit: int, rules: PanelRules, address: str) -> dict[str, Any]:
    """Open a panel; return its link; for one that signs links these, by participant, as `rows`."""
    token = desk.open_panel(name, limit, COMMAND_LINE, rules=rules)
    links = PanelLinks(link(address, token), desk.settings().participant_parameter)
    if not rules.signed:
        return {"panel": name, "link": links.blank()}
    signed = links.signed(desk.proofs(token, rules.allowed or ()))
    return {"panel": name, "rows": [{"participant": id, "link": own} for id, own in signed.items()]}


def _lines(path: Path, what: str) -> list[str]:
    """Return a file's lines, each once, without empty ones."""
    try:
        lines = decoded(path.read_bytes()).splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"{what} {path} cannot be read as UTF-8 text: {error}") from error
    return list(dict.fromkeys(each.strip() for each in lines if each.strip()))


def _exit(text: str) -> Exit:
    """Read what a command says of a way out: an address, or else a code."""
    return Exit(url=text) if "://" in text else Exit(code=text)


# ---- items and ratings from files ----


def add_items(
    desk: SqlDesk, file: Path, purpose: Purpose | None, wanted: int | None, strict: bool = False
) -> dict[str, Any]:
    """Lay a file's items before the raters; those that are there already stay as they are.

    `purpose` is what all of them are for, and `wanted` how many answers each gets; without, as the rows say. With
    `strict` raises InputError for what there is to note of the rows.
    """
    settings = desk.settings()
    found = in_groups(list(items_from(file, settings.overlap, purpose)), settings)
    items = [item if wanted is None else replace(item, wanted=wanted) for item in found]
    notes = item_notes(items)
    refuse_guesses(str(file), notes, strict)
    new = desk.add_items(in_sheets(items, settings.sheet))
    if wanted is not None and new < len(items):
        notes.append(f"{len(items) - new} items are there already: rrm items DIR want --wanted N asks for more")
    if idle := desk.idle_checks():
        notes.append(f"known answers that are unlike all open questions, and so are not handed out: {idle:,}")
    return {"read": items_read(items), "items": len(items), "new": new, "notes": notes}


def want_answers(desk: PlaceControl, answers: int, place: str | None, disputed: bool) -> dict[str, Any]:
    """Have items that are there want so many answers, where they want fewer."""
    at = Place.parse(place) if place is not None else None
    return {"wanted": answers, "items": desk.want(answers, COMMAND_LINE, place=at, disputed=disputed)}


def retire_items(desk: PlaceControl, which: Path) -> dict[str, Any]:
    """Have an item, or those that a file names one a line, want no more answers than they have."""
    items = _lines(which, "the ids of items") if which.exists() else [str(which)]
    return {"items": len(items), "retired": desk.retire(items, COMMAND_LINE)}


def add_ratings(desk: SqlDesk, file: Path, strict: bool = False) -> dict[str, Any]:
    """Take ratings made elsewhere as answers to items, which are added where they are new.

    `strict` raises InputError for what there is to note of the rows.
    """
    rated, read, notes = read_ratings(file, desk.requests)
    refuse_guesses(str(file), notes, strict)
    settings = desk.settings()
    requests = {each.request.id: each.request for each in rated}
    asked = [Item(request, wanted=settings.overlap) for request in requests.values()]
    items = desk.add_items(in_sheets(in_groups(asked, settings), settings.sheet))
    new = desk.enter(rated, COMMAND_LINE)
    raters = len({each.feedback.rater for each in rated})
    counts = {"ratings": len(rated), "new": new, "new_items": items, "raters": raters}
    return {"read": read, **counts, "notes": notes}


# ---- the run beside the station ----


@dataclass(frozen=True)
class RunBeside:
    """The run whose record lies in a folder: how it stands, and starting it, for the admin's page."""

    directory: Path

    def status(self) -> dict[str, Any]:
        """Return `state` (none, waiting, running, finished), and the last lines that the run said."""
        lines = self._said()
        return {"state": self._state(), "lines": lines, "command": f"rrm resume {self.directory}"}

    def train(self) -> None:
        """Start the run in a process of its own; it goes on as far as it can and waits for nobody."""
        if self._state() == "none":
            raise InputError("there is no run in this folder, only items: nothing can be trained")
        if self._state() == "running":
            raise LockedError("the run is going on already: it takes up what is closed by itself")
        with (self.directory / LOG).open("ab") as log:
            subprocess.Popen(  # noqa: S603 it outlives the station; its own lock keeps a second one away
                [sys.executable, "-m", "rrm", "resume", str(self.directory)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _state(self) -> str:
        if RunLock(self.directory).is_held():
            return "running"
        if (self.directory / REPORT).exists():
            return "finished"
        with open_store(self.directory, "read") as record:
            return "waiting" if record.setting("run") is not None else "none"

    def _said(self, most: int = 12) -> list[str]:
        try:
            with (self.directory / LOG).open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - 8_000))
                return file.read().decode("utf-8", "replace").splitlines()[-most:]
        except OSError:
            return []


# ---- serving ----


@dataclass(frozen=True)
class Serving:
    """Where a station listens and how it is reached."""

    host: str = "127.0.0.1"
    port: int = 8750
    public_url: str | None = None
    limits: Mapping[str, Any] | None = None
    trusted_proxies: tuple[str, ...] = ()


USUAL_ADDRESS = f"http://{Serving.host}:{Serving.port}"
"""Where a station is served unless it is told otherwise."""


def serve(
    directory: Path, desk: SqlDesk, serving: Serving, token: Callable[[], str] | None, tell: Callable[[str], None]
) -> None:
    """Serve a folder's station until it is stopped; with `token`, tell the admin's one-use link once it listens."""
    from rrm.queue.nodes import open_nodes
    from rrm.web.server import serve as serve_station
    from rrm.web.station import Station, WebSettings

    url, proxies = serving.public_url or "", serving.trusted_proxies
    try:
        settings = WebSettings(public_url=url, trusted_proxies=proxies, **(serving.limits or {}))
    except TypeError as error:
        known = ", ".join(WebSettings.__dataclass_fields__)
        raise ConfigError(f"--limit: {error}; there are {known}") from error
    if settings.in_the_clear:
        tell(
            f"WARNING: {settings.public_url} is plain http: passwords and answers can be read on the way;"
            " put a proxy with https in front of it"
        )
    with open_nodes(directory) as nodes:
        station = Station(
            desk=desk,
            settings=settings,
            trees=nodes,
            count=counting(directory),
            run=RunBeside(directory),
            wider=nodes.wider,
        )

        def ready(address: str) -> None:
            remember_address(directory, address)
            tell(f"annotation station of {directory} at {address}")
            if token is not None:
                tell(f"the admin's link, good for one use: {link(address, token())}")
            tell(f"add people with: rrm raters {directory} add NAME   (stop with Ctrl-C; nothing is lost)")

        with reordering(desk, directory):
            serve_station(station, serving.host, serving.port, ready)


def counting(directory: Path) -> Callable[[str], int] | None:
    """Return what counts tokens as the folder's run does, None where that tokenizer is not installed."""
    from rrm.backbone.tokens import load_tokenizer

    with open_store(directory, "read") as record:
        run = record.setting("run") or {}
    name = run.get("policy", {}).get("arguments", {}).get("tokenizer", "minilm")
    try:
        return load_tokenizer(str(name)).count
    except InputError:
        return None
