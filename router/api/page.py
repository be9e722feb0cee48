"""The operations page: what `/` shows to a browser.

Without keys everybody who may speak may look at it. With keys it takes the admin key: a reverse
proxy on this machine makes every caller local, so an address proves nothing. A browser asks for it
by HTTP Basic authentication (any name, the key as the password).
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Sequence

from litestar import Controller, Response, get, route
from litestar.di import NamedDependency

from router import __version__
from router.accounts.gate import KeyedGate
from router.api import page_parts
from router.api.body import ApiRequest
from router.api.door import Door, credential
from router.api.errors import NoSuchPath, refusal
from router.api.operations import readiness
from router.api.page_frame import HEADERS, live_page, still_page
from router.api.page_html import Html, el
from router.api.response import Headers
from router.api.sampling import job_figures
from router.contract.errors import CallerError
from router.contract.provider import Secret
from router.jobs.office import Office
from router.telemetry.recent import Recent

_CHALLENGE: Headers = ((b"www-authenticate", b'Basic realm="tts-router operations"'),)
_REMEDIES = {
    401: "Log in with any name and the admin key as the password.",
    403: "With keys this page takes the admin key, and the config has no accounts.admin_key.",
    429: "Too many tries from this address. Try again in a minute.",
}


class PageController(Controller):
    """For whoever runs it."""

    include_in_schema = False

    @get("/", summary="How the router is, as a page")
    async def page(
        self, request: ApiRequest, door: NamedDependency[Door], recent: NamedDependency[Recent]
    ) -> Response[bytes]:
        if "text/html" not in request.headers.get("accept", "").lower():
            raise _nothing(request)
        gate: KeyedGate | None = request.scope["state"]["keyed"]
        if gate is not None:
            try:
                await gate.check_admin(_credential(request), door.address(request))
            except CallerError as error:
                return _refused(error)
        office: Office | None = request.scope["state"]["office"]
        jobs = page_parts.jobs(await job_figures(office)) if office is not None else None
        return _html(200, page_of(door, recent, jobs))

    @route("/", http_method=["POST", "PUT", "PATCH", "DELETE"], sync_to_thread=False)
    def nothing(self, request: ApiRequest) -> None:
        """A page that can be looked at is no reason to say 405 to a client with a wrong address."""
        raise _nothing(request)


def _nothing(request: ApiRequest) -> NoSuchPath:
    return NoSuchPath(f"There is nothing at this path for {request.method}.")


def page_of(door: Door, recent: Recent, jobs: Html | None) -> bytes:
    """The page as it is now; `jobs` is what it says of them, where they are taken."""
    found, settings = readiness(door.speaker, door.house), door.settings
    main = [
        _part("now", page_parts.status(found, recent.last_minute(), recent.median_first_audio_s())),
        _part("providers", page_parts.providers(found, settings)),
        _part("models", page_parts.models(found, settings)),
    ]
    if jobs is not None:
        main.append(_part("jobs", jobs))
    if settings.keyed and settings.accounts is not None:
        main.append(_part("limits", page_parts.limits(settings.accounts.limits, recent.refused)))
    main.append(_part("recent", page_parts.routes(recent.routes)))
    lost = el("p", id="lost", class_="lost", role="status", hidden=True)
    body = el("main", lost, *main)
    return live_page("tts-router", _header(found.status), body, _footer(door, recent))


def _header(status: str) -> Html:
    """What it is, whether it can speak, and of when that is."""
    now = dt.datetime.now(dt.UTC)
    state = el("span", status, class_=f"mark {'good' if status == 'ready' else 'bad'}")
    updated = el("time", now.strftime("%H:%M:%S"), datetime=now.isoformat(timespec="seconds"))
    shown = el("span", updated, " UTC", id="updated", data_live=True)
    pause = el("button", "Pause", id="pause", type="button", aria_pressed="false", hidden=True)
    return el(
        "header",
        el("h1", "tts-router"),
        el("span", state, id="state", data_live=True),
        el("div", shown, pause, class_="beside"),
    )


def _part(id: str, inside: Html) -> Html:
    return el("section", inside, id=id, data_live=True)


def _footer(door: Door, recent: Recent) -> Html:
    began = recent.began.strftime("%Y-%m-%d %H:%M")
    told = (
        f"Version {__version__}, started {began} UTC, config loaded {door.house.config.loaded}. "
        "All times are UTC. For programs: "
    )
    links: Sequence[Html | str] = (
        el("a", "health", href="/health/ready"),
        ", ",
        el("a", "models", href="/v1/models"),
        ", ",
        el("a", "API", href="/schema"),
        ".",
    )
    return el("footer", told, *links, id="footer", data_live=True)


def _credential(request: ApiRequest) -> Secret | None:
    """The key as programs send it, or as a browser does: the password of HTTP Basic
    authentication (RFC 7617)."""
    scheme, _, told = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "basic":
        return credential(request)
    try:
        _, _, password = base64.b64decode(told, validate=True).decode().partition(":")
    except ValueError:  # it is no base64, or no text
        return None
    return Secret(password) if password else None


def _refused(error: CallerError) -> Response[bytes]:
    told = refusal(error, "openai", "")
    extra = _CHALLENGE if told.status == 401 else ()
    wait = [header for header in told.headers if header[0] == b"retry-after"]
    return _html(
        told.status, still_page("tts-router", _REMEDIES.get(told.status, "")), [*extra, *wait]
    )


def _html(status: int, body: bytes, extra: Headers = ()) -> Response[bytes]:
    headers = {name.decode(): value.decode() for name, value in (*HEADERS, *extra)}
    return Response(body, status_code=status, headers=headers)
