"""What the OpenAPI document tells of keys: where they go, for which operations."""

from __future__ import annotations

from typing import Any

from router.api.accounts import AccountController
from router.api.admin import AdminController
from router.api.job_links import FILES
from router.api.jobs import JobsController
from router.api.speech import SpeechController
from router.api.voices import VoicesController

SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A caller's key, as clients of OpenAI send it.",
    },
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key, as clients of NanoGPT send it.",
    },
    "admin": {
        "type": "http",
        "scheme": "bearer",
        "description": "The admin's key: `accounts.admin_key` of the config.",
    },
}
_CALLERS: list[dict[str, list[str]]] = [{"bearer": []}, {"header": []}]
_ANYBODY: list[dict[str, list[str]]] = [{}, *_CALLERS]
_ADMINS: list[dict[str, list[str]]] = [{"admin": []}]
_NEED_A_KEY = {
    *(*SpeechController.tags, *JobsController.tags),
    *(*VoicesController.tags, *AccountController.tags),
}


def complete(path: str, method: str, operation: dict[str, Any], *, keyed: bool) -> None:
    """Say which key an operation wants; `keyed`: this server wants one of its callers."""
    tags = set(operation.get("tags", ()))
    if tags & set(AdminController.tags):
        operation["security"] = _ADMINS
    elif tags & _NEED_A_KEY and not path.startswith(FILES):
        operation["security"] = _CALLERS if keyed else _ANYBODY
    elif method == "get" and path.endswith("/voices"):  # with a key one's own are among them
        operation["security"] = _ANYBODY
