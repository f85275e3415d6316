"""Every route of the station and who may use it: a route that does not stand here fails the tests.

Rows are (method, path) and the roles in the order of `rrm.core.annotation.ROLES`; PUBLIC is for everybody.
"""

PUBLIC: tuple[str, ...] = ("anonymous", "annotator", "adjudicator", "admin", "reader")
EVERYBODY = ("annotator", "adjudicator", "admin", "reader")
RATERS = ("annotator", "adjudicator", "admin")
JUDGES = ("adjudicator", "admin")
LOOKING = ("admin", "reader")
SETTLING = ("adjudicator", "admin", "reader")
ADMIN = ("admin",)

PAGES: dict[tuple[str, str], tuple[str, ...]] = {
    ("GET", "/"): PUBLIC,
    ("GET", "/login"): PUBLIC,
    ("GET", "/join"): PUBLIC,
    ("GET", "/work"): RATERS,
    ("GET", "/admin"): LOOKING,
    ("GET", "/admin/raters"): LOOKING,
    ("GET", "/admin/agreement"): LOOKING,
    ("GET", "/admin/adjudicate"): SETTLING,
    ("GET", "/admin/items"): LOOKING,
    ("GET", "/admin/guidelines"): LOOKING,
    ("GET", "/admin/settings"): LOOKING,
    ("GET", "/admin/audit"): LOOKING,
    ("GET", "/tree"): SETTLING,
    ("MOUNT", "/static"): PUBLIC,
}

WORK: dict[tuple[str, str], tuple[str, ...]] = {
    ("POST", "/api/join"): PUBLIC,
    ("POST", "/api/login"): PUBLIC,
    ("POST", "/api/logout"): EVERYBODY,
    ("POST", "/api/password"): EVERYBODY,
    ("GET", "/api/me"): EVERYBODY,
    ("POST", "/api/claim"): RATERS,
    ("POST", "/api/consent"): RATERS,
    ("POST", "/api/guidelines/read"): RATERS,
    ("GET", "/api/leases/{id}/wider"): RATERS,
    ("POST", "/api/leases/{id}/renew"): RATERS,
    ("PUT", "/api/leases/{id}/draft"): RATERS,
    ("POST", "/api/leases/{id}/answer"): RATERS,
    ("POST", "/api/leases/{id}/skip"): RATERS,
    ("POST", "/api/leases/{id}/flag"): RATERS,
    ("POST", "/api/undo"): RATERS,
    ("GET", "/api/history"): RATERS,
    ("GET", "/api/hours"): RATERS,
    ("GET", "/api/messages"): RATERS,
    ("POST", "/api/messages/{number}/read"): RATERS,
    ("GET", "/api/openapi.json"): ADMIN,
}

ADMINISTRATION: dict[tuple[str, str], tuple[str, ...]] = {
    ("GET", "/api/admin/places"): LOOKING,
    ("GET", "/api/admin/agreement"): LOOKING,
    ("GET", "/api/admin/asking"): LOOKING,
    ("GET", "/api/admin/flags"): LOOKING,
    ("GET", "/api/admin/run"): LOOKING,
    ("POST", "/api/admin/train"): ADMIN,
    ("POST", "/api/admin/places/{round}/{subject}/{level}/freeze"): ADMIN,
    ("POST", "/api/admin/places/{round}/{subject}/{level}/reopen"): ADMIN,
    ("POST", "/api/admin/want"): ADMIN,
    ("POST", "/api/admin/items/{item}/retire"): ADMIN,
    ("GET", "/api/admin/raters"): LOOKING,
    ("GET", "/api/admin/hours"): LOOKING,
    ("GET", "/api/admin/days"): LOOKING,
    ("GET", "/api/admin/messages"): LOOKING,
    ("POST", "/api/admin/messages"): ADMIN,
    ("POST", "/api/admin/flags/{number}/reply"): ADMIN,
    ("POST", "/api/admin/raters/several"): ADMIN,
    ("POST", "/api/admin/raters"): ADMIN,
    ("POST", "/api/admin/raters/{id}/invite"): ADMIN,
    ("POST", "/api/admin/raters/{id}/reset"): ADMIN,
    ("POST", "/api/admin/raters/{id}/state"): ADMIN,
    ("POST", "/api/admin/raters/{id}/group"): ADMIN,
    ("POST", "/api/admin/raters/{id}/requeue"): ADMIN,
    ("POST", "/api/admin/raters/{id}/forget"): ADMIN,
    ("POST", "/api/admin/panels"): ADMIN,
    ("GET", "/api/admin/panels"): LOOKING,
    ("GET", "/api/admin/consents"): LOOKING,
    ("POST", "/api/admin/password"): ADMIN,
    ("GET", "/api/admin/items"): LOOKING,
    ("GET", "/api/admin/items/{item}"): LOOKING,
    ("GET", "/api/admin/guidelines"): LOOKING,
    ("GET", "/api/admin/guidelines/{version}"): LOOKING,
    ("POST", "/api/admin/guidelines"): ADMIN,
    ("POST", "/api/admin/guidelines/preview"): ADMIN,
    ("GET", "/api/admin/settings"): LOOKING,
    ("PUT", "/api/admin/settings"): ADMIN,
    ("GET", "/api/admin/audit"): LOOKING,
    ("GET", "/api/disputed"): SETTLING,
    ("GET", "/api/disputed/{item}"): SETTLING,
    ("POST", "/api/disputed/{item}/decide"): JUDGES,
    ("POST", "/api/disputed/{item}/undo"): JUDGES,
    ("GET", "/api/admin/export/{form}"): LOOKING,
}

TREES: dict[tuple[str, str], tuple[str, ...]] = {
    ("GET", "/api/trees"): SETTLING,
    ("GET", "/api/trees/{tree}/outline"): SETTLING,
    ("GET", "/api/trees/{tree}/nodes/{node}"): SETTLING,
    ("GET", "/api/trees/{tree}/calls/{node}"): SETTLING,
    ("GET", "/api/trees/{tree}/claims/{output}"): SETTLING,
    ("GET", "/api/trees/{tree}/search"): SETTLING,
}

ROUTES = {**PAGES, **WORK, **ADMINISTRATION, **TREES}
