"""Reading about the nodes of a record's trees: few queries for a whole tree, everything about one node."""

import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import orjson
from sqlalchemy import ColumnElement, Connection, Select, String, Table, bindparam, cast, exists, func, select

from rrm.core.calls import Call
from rrm.core.claims import Claims
from rrm.core.errors import MissingError
from rrm.core.kinds import KINDS as ANSWERS
from rrm.core.nodes import CallPage, CallSums, NodeMark, NodeRecord, Traced, TreeEntry, TreeRole
from rrm.core.task import Source, Span
from rrm.core.values import OVERALL, Composed, Failure, Feedback, Fitted, Output, Request, Scored
from rrm.queue.given import IS_RETRACTED
from rrm.store.database import Opened, open_database
from rrm.store.kinds import KINDS, read_place, scores_from
from rrm.store.recent import Recent
from rrm.store.record import chunks, load_values
from rrm.store.tables import table

CONTEXT = 2_000
"""Characters of a source that are shown on either side of a node's span."""

WRITTEN = {kind: words for kind, answer in ANSWERS.items() if (words := answer.words())}
"""The kinds of feedback that hold words of a rater, and which field holds them."""

_KEPT = 16  # trees' spans, and sources
_COUNTED = (*(kind.name for kind in KINDS.values() if kind.name != "view"), "given", "retraction", "restoration")
_WHOLE = "/whole/"
"""Stands in the places of the flat baseline."""

_REQUEST, _TREE = table("request"), table("tree")
_TREES_OF_REQUEST = (
    select(_REQUEST.c.node, _REQUEST.c.source, _TREE.c.id)
    .join_from(_REQUEST, _TREE, _TREE.c.source == _REQUEST.c.source)
    .where(_REQUEST.c.id == bindparam("one"))
)
_ACTION = table("action")
_LAST_PROPOSED = select(func.max(_ACTION.c.place)).where(_ACTION.c.step == "propose")  # by the index over both

T = TypeVar("T")


def open_nodes(directory: Path | str, busy_seconds: float = 30.0) -> "NodeReader":
    """Open the record in a run's folder to look at its trees; an older one is upgraded first, as for any reader."""
    return NodeReader(open_database(Path(directory), "read", busy_seconds))


class NodeReader:
    """An open record, made by `open_nodes`; a context manager, and an `rrm.core.nodes.Nodes`.

    Any thread may use it, and beside a running run. Every method raises StoreError when the record
    cannot be read.
    """

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._turn = threading.Lock()
        self._rated: set[str] = set()  # sources that anything was asked about, up to this request
        self._rated_up_to = 0
        self._spans: Recent[dict[str, Span | None]] = Recent(_KEPT)
        self._sources: Recent[Source] = Recent(_KEPT)

    def __enter__(self) -> "NodeReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the record."""
        self._opened.close()

    @property
    def directory(self) -> Path:
        """The folder of the run."""
        return self._opened.location.path.parent

    # ---- trees ----

    def version(self) -> str:
        """Return a text that changes whenever a value is recorded."""
        lasts = [select(func.max(table(name).c.seq)).scalar_subquery() for name in _COUNTED]
        taken_up = select(func.count(table("place").c.taken_up)).scalar_subquery()
        with self._read() as connection:
            return ".".join(str(last or 0) for last in connection.execute(select(*lasts, taken_up)).one())

    def has_rounds(self) -> bool:
        """Say whether anything but the first round is on record."""
        lasts = [select(func.max(table(name).c.place)).scalar_subquery() for name in ("item", "fitted")]
        with self._read() as connection:
            found = connection.execute(select(*lasts)).one()
            proposed = connection.scalar(_LAST_PROPOSED)
        return any(read_place(last).round > 0 for last in (*found, proposed) if last is not None)

    def trees(self) -> list[TreeEntry]:
        """Return all trees, in the order of recording."""
        tree, source = table("tree"), table("source")
        asked = select(tree.c.id, tree.c.root, tree.c.source, source.c.title)
        with self._read() as connection:
            found = connection.execute(asked.outerjoin(source, tree.c.source == source.c.id).order_by(tree.c.seq)).all()
            numbers = _numbers(connection)
            role = self._roles(connection)
        return [
            TreeEntry(id_, root, of, title or "", numbers.get(id_), role(of) if of else None)
            for id_, root, of, title in found
        ]

    def failed_trees(self) -> list[tuple[str, Failure]]:
        """Return the sources' titles and the failures of decompositions that came to nothing."""
        failure, source = table("failure"), table("source")
        with self._read() as connection:
            here = select(failure.c.id).where(failure.c.step == "decompose")
            found = [each for each in _values(connection, Failure, here) if each.id not in _overcome(connection)]
            named = {each.subject.partition("/")[0] for each in found}
            titles = dict(connection.execute(select(source.c.id, source.c.title).where(source.c.id.in_(named))).all())
        return [(titles.get(each.subject.partition("/")[0], each.subject), each) for each in found]

    def graph(self, tree: str) -> dict[str, Any]:
        """Return a tree's graph as `TaskGraph.to_json` tells it; raise MissingError for an unknown id."""
        rows = table("tree")
        with self._read() as connection:
            found: dict[str, Any] | None = connection.scalar(select(rows.c.graph).where(rows.c.id == tree))
        if found is None:
            raise MissingError(f"no tree {tree} on record")
        return found

    def source(self, id: str) -> Source | None:
        """Return a source with its text, or None; the last few stay at hand, for every item shown asks for one."""
        rows = table("source")
        found = self._sources.get(id)
        if found is None:
            with self._read() as connection:
                found = next(iter(_values(connection, Source, select(rows.c.id).where(rows.c.id == id))), None)
            if found is not None:
                self._sources.put(id, found)
        return found

    # ---- all nodes of a tree ----

    def marks(self, nodes: Sequence[str]) -> dict[str, NodeMark]:
        """Return what there is at those of these nodes where there is anything."""
        with self._read() as connection:
            outputs = _outputs(connection, nodes)
            ratings = _ratings(connection, nodes)
            failures = _failures(connection, nodes)
        best = _best(outputs.of)
        return {
            node: NodeMark(
                outputs=len(outputs.of.get(node, ())),
                ratings=ratings[node],
                failures=failures[node],
                best=best.get(node),
                composed=node in outputs.composed,
                handed_up=not outputs.read.isdisjoint(outputs.of.get(node, ())),
            )
            for node in nodes
            if node in outputs.of or node in failures or node in ratings
        }

    def find(self, nodes: Sequence[str], text: str) -> set[str]:
        """Return those of these nodes whose outputs, written answers or failures hold this text, in any case."""
        needle = text.casefold()
        with self._read() as connection:
            overcome = _overcome(connection)
            said = chain(
                _said(connection, nodes, _pattern(text)),
                _written(connection, nodes),
                (
                    (node, f"{error}: {cause}")
                    for node, id_, error, cause in _failed(connection, nodes)
                    if id_ not in overcome
                ),
            )
            return {node for node, words in said if needle in words.casefold()}

    # ---- one node ----

    def at(self, node: str, readers: Collection[str] = (), most: int = 200) -> NodeRecord:
        """Return what is on record about a node, which `readers` read: at most so many outputs and requests.

        Feedback is told of the requests that are left out, too, up to twenty times as much.
        """
        output, request, feedback, claims = table("output"), table("request"), table("feedback"), table("claims")
        own = select(output.c.id).where(output.c.node == node)
        asked = select(request.c.id).where(request.c.node == node)
        answered = select(feedback.c.id).where(feedback.c.request.in_(asked)).order_by(feedback.c.seq).limit(20 * most)
        with self._read() as connection:
            outputs = _values(connection, Output, own.order_by(output.c.seq).limit(most))
            requests = _values(connection, Request, asked.order_by(request.c.seq).limit(most))
            scores = _among(connection, Scored, table("scored").c.output, _ids(outputs))
            models = _among(connection, Fitted, table("fitted").c.id, {each.model for each in scores})
            read = {id_ for each in outputs for id_ in (*each.inputs, *each.context)}
            return NodeRecord(
                outputs=tuple(outputs),
                outputs_in_all=_count(connection, own),
                requests=tuple(requests),
                requests_in_all=_count(connection, asked),
                feedback=_by_request(_values(connection, Feedback, answered)),
                rounds=_rounds(connection, _ids(outputs)),
                scores=tuple(scores),
                composed=tuple(_among(connection, Composed, table("composed").c.output, _ids(outputs))),
                models={model.id: model for model in models},
                failures=_standing(connection, [node, *_ids(requests)]),
                read={each.id: each for each in _among(connection, Output, output.c.id, read)},
                handed_up=frozenset(_ids(outputs)) & _read_by(connection, readers),
                calls=_call_sums(connection, node),
                traced=frozenset(connection.scalars(select(claims.c.output).where(claims.c.output.in_(_ids(outputs))))),
            )

    def calls(self, node: str, after: int = 0, most: int = 20) -> CallPage:
        """Return at most so many of the model calls for a node and the requests about it, after a number."""
        call = table("call")
        asked = select(call.c.seq, call.c.id).where(_called_for(node), call.c.seq > after).order_by(call.c.seq)
        with self._read() as connection:
            found = connection.execute(asked.limit(most + 1)).all()
            calls = _among(connection, Call, call.c.id, [id_ for _, id_ in found[:most]])
        return CallPage(tuple(calls), found[most - 1].seq if len(found) > most else None)

    def traced(self, output: str) -> Traced:
        """Return what is on record of an output's claims and of what they rest on; nothing where it was not traced."""
        claims: dict[str, Claims] = {}
        outputs: dict[str, Output] = {}
        waiting, asked = {output}, set[str]()
        with self._read() as connection:
            while waiting:
                asked |= waiting
                here = _among(connection, Claims, table("claims").c.output, waiting)
                claims |= {each.output: each for each in here}
                outputs |= {each.id: each for each in _among(connection, Output, table("output").c.id, waiting)}
                origins = (origin for each in here for claim in each.claims for origin in claim.origins)
                waiting = {origin.output for origin in origins if origin.output is not None} - asked
        return Traced(claims, outputs)

    def wider(self, request: str) -> tuple[str, str, str] | None:
        """Return a request's piece of its source between the `CONTEXT` characters before and after it.

        None where the source is not on record, or no tree of it holds the request's node.
        """
        with self._read() as connection:
            found = connection.execute(_TREES_OF_REQUEST, {"one": request}).all()
        spans = (self._spans_of(tree).get(node) for node, _, tree in found)
        span = next(filter(None, spans), None)
        source = self.source(found[0].source) if span else None
        if source is None or span is None:
            return None
        start, end = span
        return source.text[max(0, start - CONTEXT) : start], source.read(span), source.text[end : end + CONTEXT]

    def _spans_of(self, tree: str) -> dict[str, Span | None]:
        """Return the spans of a tree's nodes, from those of the last few trees if they are there."""
        spans = self._spans.get(tree)
        if spans is None:
            rows = [(row["id"], row["task"]["span"]) for row in self.graph(tree)["nodes"]]
            spans = {node: Span(*span) if span else None for node, span in rows}
            self._spans.put(tree, spans)
        return spans

    # ---- within ----

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._opened.reading() as connection:
            yield connection

    def _roles(self, connection: Connection) -> "Roles":
        """Say by the run file what all sources are, else by whether anything was asked about them."""
        request, meta = table("request"), table("meta")
        run = connection.scalar(select(meta.c.value).where(meta.c.name == "run"))
        new = select(request.c.source, func.max(request.c.seq)).where(~request.c.place.contains(_WHOLE))
        with self._turn:
            grouped = new.where(request.c.seq > self._rated_up_to).group_by(request.c.source)
            for source, last in connection.execute(grouped):
                self._rated.add(source)
                self._rated_up_to = max(self._rated_up_to, last)
            return Roles(run if isinstance(run, dict) else {}, frozenset(self._rated))


class Roles:
    """What a source is in a run, as far as its run file and what was asked about it tell."""

    def __init__(self, run: dict[str, Any], rated: frozenset[str]) -> None:
        self._run, self._rated = run, rated

    def __call__(self, source: str) -> TreeRole | None:
        if not self._run:
            return "train" if source in self._rated else None
        if not self._run.get("train"):
            return "target"
        if not self._run.get("target") or source in self._rated:
            return "train"
        return "target" if self._rated else None


# ---- what the queries are made of ----


def _values(connection: Connection, kind: type[T], ids: Select[tuple[str]]) -> list[T]:
    return list(load_values(connection, KINDS[kind], ids).values())


def _among(connection: Connection, kind: type[T], column: ColumnElement[str], values: Iterable[str]) -> list[T]:
    """Return the values of a kind with one of these in a column."""
    rows = table(KINDS[kind].name)
    return [
        each
        for some in chunks(list(values))
        for each in _values(connection, kind, select(rows.c.id).where(column.in_(some)))
    ]


def _called_for(node: str) -> ColumnElement[bool]:
    """Return what holds of the model calls for a node and for the requests about it."""
    about, request = table("call").c.about, table("request")
    return (about == node) | about.in_(select(request.c.id).where(request.c.node == node))


def _call_sums(connection: Connection, node: str) -> CallSums:
    call = table("call").c
    sums = [func.sum(column) for column in (call.input_tokens, call.output_tokens, call.cost)]
    asked = select(
        func.count(),
        func.count().filter(call.cached),
        func.count(call.error),
        func.coalesce(func.sum(call.seconds), 0.0),
        *sums,
    )
    calls, cached, failed, seconds, read, written, cost = connection.execute(asked.where(_called_for(node))).one()
    read, written = (None if each is None else int(each) for each in (read, written))  # PostgreSQL sums to Decimal
    return CallSums(calls, cached, failed, seconds, read, written, cost)


def _count(connection: Connection, ids: Select[tuple[str]]) -> int:
    return connection.scalar(select(func.count()).select_from(ids.subquery())) or 0


def _ids(values: Iterable[Any]) -> list[str]:
    return [each.id for each in values]


def _by_request(feedback: Iterable[Feedback]) -> dict[str, tuple[Feedback, ...]]:
    found: dict[str, list[Feedback]] = defaultdict(list)
    for each in feedback:
        found[each.request].append(each)
    return {request: tuple(given) for request, given in found.items()}


def _numbers(connection: Connection) -> dict[str, int]:
    """Return the number that a tree has among its source's, as its decomposition's slot "source/number" says."""
    action, link = table("action"), table("link")
    made = select(link.c.value, action.c.slot).join(action, link.c.action == action.c.seq)
    rows = connection.execute(made.where(action.c.step == "decompose", link.c.kind == "tree"))
    return {tree: int(number) for tree, slot in rows if (number := slot.partition("/")[2]).isdecimal()}


def _rounds(connection: Connection, outputs: Sequence[str]) -> dict[str, int]:
    """Return the rounds in which outputs were proposed first."""
    action, link = table("action"), table("link")
    asked = select(link.c.value, action.c.place).join(action, link.c.action == action.c.seq)
    rounds: dict[str, int] = {}
    for some in chunks(outputs):
        for output, place in connection.execute(asked.where(link.c.kind == "output", link.c.value.in_(some))):
            rounds[output] = min(rounds.get(output, read_place(place).round), read_place(place).round)
    return rounds


class _Outputs(NamedTuple):
    """Of each node the outputs with their acceptance as the record has it, None without; and what any was made from.

    Where a node is among `composed`, they are those that were composed with what lies below. An output has none, too,
    that whoever scored last at its node did not score: scores of different rounds are not on one scale.
    """

    of: dict[str, dict[str, bytes | None]]
    read: set[str]
    composed: set[str]


def _outputs(connection: Connection, nodes: Sequence[str]) -> _Outputs:
    """Return the outputs of nodes; scores are overall ones, those of the flat baseline aside."""
    output, scored, fitted, composed = table("output"), table("scored"), table("fitted"), table("composed")
    flat = select(fitted.c.id).where(fitted.c.place.contains(_WHOLE))
    of: dict[str, dict[str, bytes | None]] = defaultdict(dict)
    read: set[str] = set()
    asked = select(output.c.node, output.c.id, cast(output.c.inputs, String))
    for some in chunks(nodes):
        for node, id_, made_from in connection.execute(asked.where(output.c.node.in_(some))):
            of[node][id_] = None
            read.add(made_from)
    own = _latest(connection, nodes, scored, scored.c.model, scored.c.model.not_in(flat))
    joined = _latest(connection, nodes, composed, composed.c.basis)
    for node, scores in (own | joined).items():
        of[node] = dict.fromkeys(of[node]) | scores
    return _Outputs(of, {id_ for made_from in _from_json(read) for id_ in made_from}, set(joined))


def _latest(
    connection: Connection, nodes: Sequence[str], scores: Table, by: ColumnElement[str], *where: ColumnElement[bool]
) -> dict[str, dict[str, bytes]]:
    """Return outputs' overall acceptance as on record, by node: that of whoever scored last there (`by`) alone."""
    if connection.scalar(select(scores.c.seq).limit(1)) is None:
        return {}
    output = table("output")
    columns = (output.c.node, output.c.id, by, scores.c.acceptance)
    asked = select(*columns).join(scores, scores.c.output == output.c.id).order_by(scores.c.seq)
    found: dict[tuple[str, str], dict[str, bytes]] = defaultdict(dict)
    last: dict[str, str] = {}
    for some in chunks(nodes):
        here = asked.where(output.c.node.in_(some), scores.c.criterion == OVERALL, *where)
        for node, id_, basis, accepted in connection.execute(here):
            last[node] = basis
            found[node, basis][id_] = accepted
    return {node: found[node, basis] for node, basis in last.items()}


def _ratings(connection: Connection, nodes: Sequence[str]) -> Counter[str]:
    """Count the feedback about nodes, and the desk's answers at places that the run has not taken up."""
    feedback, request, given, place = table("feedback"), table("request"), table("given"), table("place")
    recorded = select(request.c.node, func.count()).join(feedback, feedback.c.request == request.c.id)
    taken_up = select(place.c.place).where(place.c.taken_up.is_not(None))
    retracted = exists().where(IS_RETRACTED)
    counting = given.c.purpose == "work", given.c.place.not_in(taken_up), ~retracted
    counts: Counter[str] = Counter()
    for some in chunks(nodes):
        for counted, node in (
            (recorded, request.c.node),
            (select(given.c.node, func.count()).where(*counting), given.c.node),
        ):
            counts.update(dict(connection.execute(counted.where(node.in_(some)).group_by(node)).all()))
    return counts


def _best(outputs: Mapping[str, Mapping[str, bytes | None]]) -> dict[str, tuple[float, ...]]:
    """Return the acceptance of each node's best output.

    It is the one that a run chooses: of the highest mean, the last id where two are equal.
    """
    scored = ((node, id_, held) for node, some in outputs.items() for id_, held in some.items() if held is not None)
    best: dict[str, tuple[float, str, tuple[float, ...]]] = {}
    for node, id_, held in scored:
        acceptance = scores_from(held)
        found = (sum(acceptance) / len(acceptance), id_, acceptance)
        if node not in best or found > best[node]:
            best[node] = found
    return {node: acceptance for node, (_, _, acceptance) in best.items()}


def _from_json(texts: Iterable[str]) -> list[Any]:
    """Return what many JSON texts say, read as one, which takes a fraction of the time."""
    return list(orjson.loads(f"[{','.join(texts)}]"))


# ---- failures: those that a later attempt made good are not told ----


def _overcome(connection: Connection) -> set[str]:
    """Return the failures of actions that were tried again."""
    action, link, later = table("action"), table("link"), table("action").alias("later")
    again = exists().where(later.c.id == action.c.id, later.c.attempt > action.c.attempt)
    asked = select(link.c.value).join(action, link.c.action == action.c.seq)
    return set(connection.scalars(asked.where(action.c.failed, again, link.c.kind == "failure")))


def _failures(connection: Connection, nodes: Sequence[str]) -> Counter[str]:
    """Count the failures of nodes and of the requests about them."""
    found = _failed(connection, nodes)
    overcome = _overcome(connection) if found else set()
    return Counter(node for node, id_, _, _ in found if id_ not in overcome)


def _failed(connection: Connection, nodes: Sequence[str]) -> list[tuple[str, str, str, str]]:
    """Return node, id, error and cause of the failures of nodes and of the requests about them."""
    failure, request = table("failure"), table("request")
    about = (failure.c.id, failure.c.error, failure.c.cause)
    through = select(request.c.node, *about).join(failure, failure.c.subject == request.c.id)
    found: list[tuple[str, str, str, str]] = []
    if connection.scalar(select(failure.c.seq).limit(1)) is not None:
        for some in chunks(nodes):
            asked = (
                select(failure.c.subject, *about).where(failure.c.subject.in_(some)),
                through.where(request.c.node.in_(some)),
            )
            found += [tuple(row) for each in asked for row in connection.execute(each)]
    return found


def _standing(connection: Connection, subjects: Sequence[str]) -> tuple[Failure, ...]:
    found = _among(connection, Failure, table("failure").c.subject, subjects)
    overcome = _overcome(connection) if found else set()
    return tuple(each for each in found if each.id not in overcome)


def _read_by(connection: Connection, readers: Collection[str]) -> frozenset[str]:
    """Return the outputs that the outputs of these nodes were made from."""
    output = table("output")
    asked = select(output.c.inputs).where(output.c.node.in_(readers))
    return frozenset(id_ for inputs in connection.scalars(asked) for id_ in inputs) if readers else frozenset()


# ---- words ----


def _said(connection: Connection, nodes: Sequence[str], pattern: str) -> Iterator[tuple[str, str]]:
    """Yield the outputs that may hold a text: node and words."""
    output = table("output")
    for some in chunks(nodes):
        asked = select(output.c.node, output.c.text).where(output.c.node.in_(some))
        yield from connection.execute(asked.where(output.c.text.ilike(pattern, escape="\\")))


def _written(connection: Connection, nodes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what raters wrote about these nodes: node and words."""
    feedback, request = table("feedback"), table("request")
    for some in chunks(nodes):
        asked = select(request.c.node, feedback.c.kind, feedback.c.answer)
        asked = asked.join(feedback, feedback.c.request == request.c.id)
        found = connection.execute(asked.where(request.c.node.in_(some), feedback.c.kind.in_(WRITTEN)))
        for node, kind, answer in found:
            yield node, str(answer.get(WRITTEN[kind], ""))


def _pattern(text: str) -> str:
    """Return what LIKE finds at least wherever the text stands, in any case.

    SQLite knows the cases of ASCII letters only, so any other character stands for one character.
    """
    return "%" + "".join(f"\\{c}" if c in "%_\\" else c if c.isascii() and c != "\0" else "_" for c in text) + "%"
