"""The rater's room: to come in, to be handed an item, and to have an answer kept."""

from fastapi import APIRouter

from rrm.web.rater import doors, leases, own
from rrm.web.rater.wider import Wider
from rrm.web.station import Station


def router(station: Station) -> APIRouter:
    """Return the rater's routes."""
    routes = APIRouter(prefix="/api")
    gate, desk = station.gate, station.desk
    work = leases.Work(desk, desk, station.count, Wider(station.wider, desk), station.clock)
    for part in (doors.router(gate, desk, desk), own.router(gate, desk, desk), leases.router(gate, work)):
        routes.include_router(part)
    return routes
