"""The record: actions and the values they made; items and answers; people, guidelines and the audit.

The columns, constraints and indexes are those of `rrm.store.tables` and of the tables of `rrm.queue`.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from rrm.store.migrations.append_only import append_only
from rrm.store.tables import WHOLE

revision = "0005"  # 0001 to 0004 were layouts from before the first release, which nothing reads
down_revision = None

VALUES = (
    *("source", "tree", "proposal", "view", "output", "request", "feedback", "rated", "failure"),
    *("fitted", "scored", "fittedcomposer", "composed", "improvement", "choice", "gold", "call"),
)
APPEND_ONLY = (
    *("action", "link", *VALUES, "event", "spent", "meta"),
    *(
        "given",
        "retraction",
        "restoration",
        "skip",
        "flag",
        "guideline",
        "audit",
        "consenttext",
        "consent",
        "acknowledged",
        "message",
        "seen",
    ),
)

# The conditions of partial indexes, word for word as in `rrm.queue.tables`.
ROOM = "purpose = 'work' AND taken < wanted AND NOT closed"
TOUCHED = "state NOT IN ('expired', 'undone')"
HELD = "state = 'live'"


def upgrade() -> None:
    actions()
    values()
    beside_values()
    items()
    leases()
    answers()
    people()
    desk()
    append_only(*APPEND_ONLY)


# ---- the record ----


def actions() -> None:
    op.create_table(
        "action",
        sa.Column("seq", WHOLE, primary_key=True),
        *texts("id"),
        *wholes("attempt"),
        *texts("step", "place", "slot"),
        *truths("failed"),
        sa.UniqueConstraint("id", "attempt", name="uq_action_id_attempt"),
    )
    op.create_index("ix_action_step_place", "action", ["step", "place"])
    op.create_table(
        "link",
        sa.Column("action", WHOLE, sa.ForeignKey("action.seq"), primary_key=True),
        sa.Column("position", WHOLE, primary_key=True),
        *texts("kind", "value"),
    )


def values() -> None:
    value("source", *texts("title", "text"), *jsons("breaks", "skipped"))
    value("tree", *texts("root"), sa.Column("source", sa.String), *jsons("graph"))
    op.create_index("ix_tree_root", "tree", ["root"])
    value("proposal", *jsons("proposal"))
    value("view", *texts("instruction"), *jsons("passages"), *wholes("max_tokens"), *texts("context"))
    value(
        "output",
        *texts("node", "text", "policy"),
        sa.Column("seed", sa.BigInteger, nullable=False),
        *jsons("inputs", "context"),
        *numbers("log_prob", nullable=True),
        *truths("truncated"),
    )
    op.create_index("ix_output_node", "output", ["node"])
    value(
        "request",
        *texts("node", "source", "place", "kind"),
        sa.Column("view", sa.String, sa.ForeignKey("view.id"), nullable=False),
        *jsons("shown"),
        *texts("guideline"),
        *wholes("copy"),
        *texts("criterion"),
    )
    op.create_index("ix_request_node", "request", ["node"])
    value(
        "feedback",
        *texts("request", "rater", "kind"),
        *jsons("answer"),
        *numbers("seconds", "confidence", nullable=True),
        *texts("criterion"),
    )
    op.create_index("ix_feedback_request", "feedback", ["request"])
    value("rated", reference("request"), reference("feedback"), *numbers("weight"))
    value("failure", *texts("subject", "step", "error", "cause"))
    value(
        "fitted",
        *texts("place", "path", "digest"),
        *wholes("ratings"),
        *truths("root"),
        *texts("role"),
        *truths("anchored"),
    )
    value("scored", *texts("output", "model"), *jsons("rewards", "acceptance"), *texts("criterion"))
    op.create_index("ix_scored_output", "scored", ["output"])
    value("fittedcomposer", *texts("place", "path", "composer"))
    value("composed", *texts("output", "basis"), *jsons("acceptance"), *texts("criterion"))
    op.create_index("ix_composed_output", "composed", ["output"])
    value(
        "improvement",
        *texts("place", "path", "policy", "before", "anchor"),
        *numbers("kl", "kl_budget"),
        *texts("how"),
        sa.Column("level", WHOLE),
    )
    value(
        "choice",
        *texts("place", "policy", "before"),
        *numbers("gain"),
        *wholes("nodes"),
        *truths("chosen"),
        *jsons("by_node"),
    )
    value("gold", *texts("output"), *numbers("value"))
    value(
        "call",
        *texts("asker", "about", "assistant", "system", "user"),
        sa.Column("sample", sa.BigInteger, nullable=False),
        *wholes("attempt"),
        *numbers("at", "seconds"),
        *(sa.Column(name, sa.String) for name in ("reply", "reason", "error")),
        *(sa.Column(name, WHOLE) for name in ("input_tokens", "output_tokens")),
        *numbers("cost", nullable=True),
        *truths("cached"),
        *texts("ending", "noticed"),
    )
    op.create_index("ix_call_about", "call", ["about"])


def beside_values() -> None:
    sequence("event", WHOLE, *numbers("at"), *texts("kind"), *jsons("data"))
    op.create_index("ix_event_kind", "event", ["kind"])
    sequence("spent", WHOLE, *numbers("at"), *texts("kind"), *numbers("amount"))
    op.create_index("ix_spent_kind", "spent", ["kind"])
    op.create_table("meta", key("name"), *jsons("value"))
    op.create_table("cache", key("table_name"), key("key"), sa.Column("value", sa.LargeBinary, nullable=False))


# ---- the queue ----


def items() -> None:
    sequence(
        "item",
        sa.Integer(),
        sa.Column("id", sa.String, sa.ForeignKey("request.id"), nullable=False),
        *texts("sheet"),
        *integers("position"),
        *texts("question", "purpose", "place", "kind", "node"),
        *integers("wanted", "taken", "given"),
        *numbers("value", "disagreement", "shuffle"),
        *truths("closed", "settled"),
        *numbers("changed"),
        *jsons("expected"),
        *texts("explanation"),
        sa.UniqueConstraint("id", name="uq_item_id"),
        sa.CheckConstraint(
            "purpose <> 'work' OR (0 <= given AND given <= taken AND taken <= wanted)", name="ck_item_room"
        ),
    )
    for name, first in (("valuable", "value"), ("least_done", "taken"), ("disagreement", "disagreement")):
        partial(f"ix_item_{name}", "item", [first, "shuffle"], ROOM)
    partial("ix_item_room", "item", ["sheet"], ROOM)
    partial("ix_item_check", "item", ["purpose"], "purpose <> 'work'")
    op.create_index("ix_item_place", "item", ["place", "kind"])
    op.create_index("ix_item_question", "item", ["question"])
    op.create_index("ix_item_sheet", "item", ["sheet", "position"])


def leases() -> None:
    op.create_table(
        "lease",
        key("id"),
        *texts("first"),
        *integers("position"),
        reference("item"),
        *texts("sheet", "question", "person", "purpose"),
        *integers("attempt"),
        *jsons("order"),
        *integers("guideline", "points"),
        *texts("shown"),
        *numbers("at", "expires"),
        *texts("state"),
    )
    partial("uq_lease_question", "lease", ["question", "person", "attempt"], TOUCHED, unique=True)
    partial("uq_lease_held", "lease", ["person", "position"], HELD, unique=True)
    partial("ix_lease_expires", "lease", ["expires"], HELD)
    op.create_index("ix_lease_person", "lease", ["person", "item"])
    partial("ix_lease_item", "lease", ["item"], HELD)
    op.create_index("ix_lease_first", "lease", ["first"])
    op.create_table("draft", key("person"), key("sheet"), *jsons("content"), *numbers("at"))
    op.create_table("place", key("place"), *numbers("frozen", "taken_up", nullable=True))


def answers() -> None:
    sequence(
        "given",
        sa.Integer(),
        *texts("id", "key"),
        *integers("position"),
        sa.Column("lease", sa.String),
        reference("item"),
        *texts("sheet", "person", "answer_kind"),
        *jsons("answer", "order"),
        *integers("guideline"),
        *texts("shown"),
        *numbers("at"),
        *numbers("seconds", nullable=True),
        *numbers("wall_seconds"),
        *numbers("confidence", nullable=True),
        *jsons("detail"),
        *texts("purpose", "place", "node", "kind"),
        sa.Column("right", sa.Boolean),
        *texts("criterion"),
        *truths("adjudication"),
        *integers("attempt"),
        sa.UniqueConstraint("id", name="uq_given_id"),
        sa.UniqueConstraint("lease", name="uq_given_lease"),
        sa.UniqueConstraint("person", "key", "position", name="uq_given_person_key_position"),
    )
    op.create_index("ix_given_item", "given", ["item"])
    op.create_index("ix_given_person", "given", ["person", "seq"])
    op.create_index("ix_given_place", "given", ["place", "seq"])
    sequence(
        "retraction",
        sa.Integer(),
        reference("given"),
        *texts("state"),
        *numbers("at"),
        *texts("by"),
    )
    op.create_index("ix_retraction_given", "retraction", ["given"])
    sequence(
        "restoration",
        sa.Integer(),
        sa.Column("retraction", sa.Integer(), sa.ForeignKey("retraction.seq"), nullable=False),
        *numbers("at"),
        *texts("by"),
        sa.UniqueConstraint("retraction", name="uq_restoration_retraction"),
    )
    sequence(
        "skip",
        sa.Integer(),
        *texts("key"),
        *integers("position"),
        *texts("lease"),
        reference("item"),
        *texts("person", "reason"),
        *numbers("at"),
        *texts("place"),
        sa.UniqueConstraint("person", "key", "position", name="uq_skip_person_key_position"),
        sa.UniqueConstraint("lease", name="uq_skip_lease"),
    )
    sequence("flag", sa.Integer(), reference("item"), *texts("person", "text"), *numbers("at"))
    sequence(
        "message",
        sa.Integer(),
        *numbers("at"),
        *texts("by"),
        sa.Column("person", sa.String),
        sa.Column("flag", sa.Integer),
        *texts("text"),
    )
    sequence("seen", sa.Integer(), *texts("person"), *integers("message"), *numbers("at"))
    op.create_index("ix_seen_person", "seen", ["person"])


def people() -> None:
    op.create_table(
        "person",
        key("id"),
        sa.Column("name", sa.String),
        *texts("role", "kind", "state"),
        sa.Column("participant", sa.String),
        sa.Column("password", sa.String),
        *numbers("created"),
        *(sa.Column(name, sa.String) for name in ("panel", "device", "resumes")),
        sa.UniqueConstraint("name", name="uq_person_name"),
        sa.UniqueConstraint("participant", name="uq_person_participant"),
    )
    op.create_table(
        "invitation", key("token"), reference("person"), *numbers("expires"), *numbers("used", nullable=True)
    )
    op.create_index("ix_invitation_person", "invitation", ["person"])
    op.create_table(
        "panel",
        key("id"),
        *texts("token", "name"),
        *integers("places", "joined"),
        *numbers("expires"),
        *integers("quota"),
        *jsons("completion", "screen_out", "allowed"),
        *texts("secret", "id_pattern"),
        sa.UniqueConstraint("token", name="uq_panel_token"),
    )
    op.create_table("session", key("token"), reference("person"), *numbers("created", "seen"), *truths("kept"))
    op.create_index("ix_session_person", "session", ["person"])
    op.create_table("consenttext", key("id"), *texts("text"))
    consented = sa.Column("text", sa.String, sa.ForeignKey("consenttext.id"), nullable=False)
    sequence("consent", sa.Integer(), reference("person"), consented, *numbers("at"))
    op.create_index("ix_consent_person", "consent", ["person"])
    sequence("acknowledged", sa.Integer(), reference("person"), *integers("version"), *numbers("at"))
    op.create_index("ix_acknowledged_person", "acknowledged", ["person"])


def desk() -> None:
    op.create_table("guideline", count("version"), *texts("text"), *numbers("at"), *texts("by"))
    op.create_table("setting", key("name"), *jsons("value"))
    sequence(
        "audit",
        sa.Integer(),
        *numbers("at"),
        *texts("by", "what", "subject"),
        *jsons("old", "new"),
        *integers("guideline"),
    )


# ---- pieces ----


def value(name: str, *columns: sa.Column[Any]) -> None:
    """Make the table of one kind of value."""
    sequence(name, WHOLE, *texts("id"), *columns, sa.UniqueConstraint("id", name=f"uq_{name}_id"))


def sequence(name: str, numbers_of: Any, *columns: sa.schema.SchemaItem) -> None:
    """Make a table whose rows are numbered in the order of recording."""
    op.create_table(name, sa.Column("seq", numbers_of, primary_key=True), *columns)


def partial(name: str, table: str, columns: list[str], condition: str, unique: bool = False) -> None:
    where: dict[str, Any] = {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}
    op.create_index(name, table, columns, unique=unique, **where)


def key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String, primary_key=True)


def count(name: str) -> sa.Column[int]:
    """Return a key that the database does not number by itself."""
    return sa.Column(name, sa.Integer, primary_key=True, autoincrement=False)


def reference(table: str) -> sa.Column[str]:
    """Return a column of this name that holds the id of a row of table `table`."""
    return sa.Column(table, sa.String, sa.ForeignKey(f"{table}.id"), nullable=False)


def texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String, nullable=False) for name in names]


def wholes(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, WHOLE, nullable=False) for name in names]


def integers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer, nullable=False) for name in names]


def numbers(*names: str, nullable: bool = False) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Float, nullable=nullable) for name in names]


def truths(*names: str) -> list[sa.Column[bool]]:
    return [sa.Column(name, sa.Boolean, nullable=False) for name in names]


def jsons(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.JSON, nullable=False) for name in names]
