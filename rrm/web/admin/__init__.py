"""The admin's room: how it goes, raters, agreement, items, guidelines, settings, the audit, settling and exports."""

from fastapi import APIRouter

from rrm.web.admin import exports, items, overview, raters, rules, settling, steering
from rrm.web.figures import Figures
from rrm.web.station import Station


def router(station: Station) -> APIRouter:
    """Return the admin's and the adjudicator's routes."""
    routes = APIRouter(prefix="/api")
    gate, desk = station.gate, station.desk
    figures = Figures(desk)
    for part in (
        overview.router(gate, desk, desk, figures, station.clock),
        steering.router(gate, desk, desk, station.run),
        raters.router(gate, desk, desk, figures),
        items.router(gate, desk),
        rules.router(gate, desk, desk, desk),
        exports.router(gate, desk, desk),
    ):
        routes.include_router(part, prefix="/admin")
    routes.include_router(settling.router(gate, desk, desk, station.count))
    return routes
