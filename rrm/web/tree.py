"""The tree viewer's routes: the trees of a run, a tree's outline, one node in full, and search."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from rrm.core.errors import MissingError
from rrm.viewer.outline import State
from rrm.viewer.trees import Trees, Wanted
from rrm.web.access import Id, allow
from rrm.web.station import Gate


def router(gate: Gate, kept: Trees | None) -> APIRouter:
    """Return the routes; a station that shows no trees (None) has none on its list."""
    routes = APIRouter(
        prefix="/api/trees",
        dependencies=[Depends(allow(gate, "admin", "reader", "adjudicator"))],
        tags=["trees"],
    )

    def trees() -> Trees:
        if kept is None:
            raise MissingError("this station shows no trees: it was started without a run")
        return kept

    @routes.get("")
    def list_trees(node: Annotated[str | None, Query(max_length=100)] = None, brief: bool = False) -> dict[str, Any]:
        """The trees on record, or those that hold a node; if brief, without counting."""
        return kept.list(node, brief) if kept else {"version": "", "trees": [], "failed": [], "note": None}

    @routes.get("/{tree}/outline", response_class=Response)
    def outline(tree: Id, since: Annotated[str | None, Query(max_length=200)] = None) -> Response:
        """All nodes of a tree as columns; if nothing was recorded since a version, only that."""
        return Response(trees().outline(tree, since), media_type="application/json")

    @routes.get("/{tree}/nodes/{node}")
    def node(tree: Id, node: Id) -> dict[str, Any]:
        """Everything about a node, named by its id or its number in the outline."""
        return trees().node(tree, node)

    @routes.get("/{tree}/calls/{node}")
    def calls(tree: Id, node: Id, after: Annotated[int, Query(ge=0, le=2**62)] = 0) -> dict[str, Any]:
        """The model calls for a node and for the questions about it, some at a time."""
        return trees().calls(tree, node, after)

    @routes.get("/{tree}/claims/{output}")
    def claims(tree: Id, output: Id) -> dict[str, Any]:
        """What each sentence of an output rests on, step by step, down to the text of the source."""
        return trees().claims(tree, output)

    @routes.get("/{tree}/search")
    def search(
        tree: Id,
        text: Annotated[str, Query(max_length=200)] = "",
        level: Annotated[int | None, Query(ge=0, le=1_000_000)] = None,
        state: State | None = None,
        low: Annotated[float | None, Query(ge=0, le=1)] = None,
        high: Annotated[float | None, Query(ge=0, le=1)] = None,
        error: bool = False,
    ) -> dict[str, Any]:
        """The nodes of a tree that meet every condition given: numbers in the outline, in order."""
        return trees().search(tree, Wanted(text, level, state, low, high, error))

    return routes
