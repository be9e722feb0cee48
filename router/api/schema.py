"""The OpenAPI document, true to both body types, and a page of it that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from html import escape
from typing import Any

import msgspec
from litestar import Request, Router
from litestar.enums import MediaType, OpenAPIMediaType
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin

from router import __version__
from router.api import job_schema, key_schema, speech
from router.api.body import CLIP_FIELD
from router.api.door import door_of
from router.api.errors import Envelope
from router.api.leaper import CONTENT_TYPES, LeaperSpeech
from router.api.nanogpt import NanoGPTSpeech
from router.api.openai import OpenAISpeech

AnyRequest = Request[Any, Any, Any]

_BODIES: dict[str, tuple[type[msgspec.Struct], ...]] = {
    **dict.fromkeys(speech.SHARED, (OpenAISpeech, LeaperSpeech)),
    **dict.fromkeys(speech.NEWER, (OpenAISpeech,)),
    **dict.fromkeys(speech.NANOGPT, (NanoGPTSpeech,)),
    "/v1/route/explain": (OpenAISpeech, LeaperSpeech, NanoGPTSpeech),
    "/route/explain": (OpenAISpeech, LeaperSpeech, NanoGPTSpeech),
}
_REF = "#/components/schemas/{name}"


def config() -> OpenAPIConfig:
    """Litestar's own document is made true here, and shown by a page of ours."""
    return OpenAPIConfig(
        title="tts-router",
        version=__version__,
        description="One endpoint for LEAPERone, NanoGPT and OpenAI speech clients.",
        path="/schema",
        operation_id_creator=_operation_id,
        render_plugins=[_Json(), _Page()],
    )


def _operation_id(handler: object, method: str, path: Sequence[object]) -> str:
    """One for each spelling of a path."""
    del handler
    return ".".join([method.lower(), *(str(getattr(part, "name", part)) for part in path)])


def completed(document: dict[str, Any], *, keyed: bool) -> dict[str, Any]:
    """A copy with what Litestar cannot see: the bodies that are read by hand, audio, the envelope,
    and where keys go. Litestar keeps the document and hands the same one out each time."""
    structs = (OpenAISpeech, LeaperSpeech, NanoGPTSpeech, Envelope, *job_schema.STRUCTS)
    _, parts = msgspec.json.schema_components(structs, ref_template=_REF)
    document = deepcopy(document)
    components = document.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), **parts}
    components["securitySchemes"] = key_schema.SCHEMES
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if isinstance(operation, dict) and method in ("get", "post", "delete"):
                _complete(path, operation)
                job_schema.complete(path, method, operation)
                key_schema.complete(path, method, operation, keyed=keyed)
    return document


def _complete(path: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("400", None)
    envelope = {"schema": {"$ref": _REF.format(name=job_schema.envelope(path).__name__)}}
    responses["default"] = {
        "description": "A refusal or a failure, in the envelope of the shape.",
        "content": {"application/json": envelope},
    }
    if path in _BODIES:
        operation["requestBody"] = _request_body(_BODIES[path])
    if path.endswith("/speech"):
        operation["responses"]["200"] = {
            "description": "The speech. Its route is told in the X-TTS-* headers.",
            "content": dict.fromkeys(sorted({*CONTENT_TYPES.values(), "audio/pcm"}), _BINARY),
        }
    elif path.endswith("/sample"):
        responses["200"] = {"description": "A sentence.", "content": {"audio/wav": _BINARY}}
    elif path == "/metrics":
        text = {"schema": {"type": "string"}}
        content = {"text/plain": text, "application/openmetrics-text": text}
        responses["200"] = {"description": "All metrics.", "content": content}


_BINARY = {"schema": {"type": "string", "format": "binary"}}


def _request_body(structs: tuple[type[msgspec.Struct], ...]) -> dict[str, Any]:
    references = [{"$ref": _REF.format(name=struct.__name__)} for struct in structs]
    schema = references[0] if len(references) == 1 else {"anyOf": references}
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    form = {"schema": references[-1]}
    if LeaperSpeech in structs:
        sample = {"type": "object", "properties": {CLIP_FIELD: _BINARY["schema"]}}
        leaper = {"$ref": _REF.format(name=LeaperSpeech.__name__)}
        content["multipart/form-data"] = {"schema": {"allOf": [leaper, sample]}}
    else:
        content["multipart/form-data"] = form
    content["application/x-www-form-urlencoded"] = form
    return {"required": True, "content": content}


class _Json(OpenAPIRenderPlugin):
    def __init__(self) -> None:
        super().__init__(path="/openapi.json", media_type=OpenAPIMediaType.OPENAPI_JSON)

    def render(self, request: AnyRequest, openapi_schema: dict[str, Any]) -> bytes:
        return msgspec.json.encode(completed(openapi_schema, keyed=_keyed(request)))


class _Page(OpenAPIRenderPlugin):
    """A plain page: no script, nothing from elsewhere."""

    def __init__(self) -> None:
        super().__init__(path="/", media_type=MediaType.HTML)

    def receive_router(self, router: Router) -> None:
        """Litestar answers unknown paths below /schema with a page; ours get the envelope."""
        router.routes[:] = [route for route in router.routes if "{path:str}" not in route.path]

    def render(self, request: AnyRequest, openapi_schema: dict[str, Any]) -> bytes:
        return page(completed(openapi_schema, keyed=_keyed(request))).encode()


def _keyed(request: AnyRequest) -> bool:
    return door_of(request).settings.keyed


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1b1f24; background: #fff }
code { font: 0.9em ui-monospace, monospace } table { border-collapse: collapse; width: 100% }
td, th { border-bottom: 1px solid #d0d7de; padding: .3rem .6rem .3rem 0; text-align: left;
  vertical-align: top } section { margin: 2.5rem 0 } h2 code { font-size: .8em }
.method { background: #0550ae; color: #fff; border-radius: 4px; padding: .1rem .5rem;
  font-size: .75em; text-transform: uppercase }
@media (prefers-color-scheme: dark) { body { color: #e6edf3; background: #0d1117 }
  td, th { border-color: #30363d } a { color: #58a6ff } }
"""


def page(document: dict[str, Any]) -> str:
    """The document as one HTML page."""
    operations = _operations(document)
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f"<p>{escape(document['info'].get('description') or '')} "
        '<a href="/schema/openapi.json">openapi.json</a></p>'
        f"{''.join(operations)}</body></html>"
    )


def _operations(document: dict[str, Any]) -> list[str]:
    schemas = document["components"]["schemas"]
    grouped: dict[tuple[str, str], tuple[list[str], dict[str, Any]]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in ("get", "post", "delete"):
                key = (method, operation.get("summary") or path)
                grouped.setdefault(key, ([], operation))[0].append(path)
    return [
        _section(method, summary, paths, operation, schemas)
        for (method, summary), (paths, operation) in grouped.items()
    ]


def _section(
    method: str, summary: str, paths: list[str], operation: dict[str, Any], schemas: dict[str, Any]
) -> str:
    spelt = "<br>".join(f"<code>{escape(path)}</code>" for path in paths)
    said = [one for status, one in operation["responses"].items() if status.startswith("2")]
    media_types = {media for one in said for media in one.get("content", {})}
    answers = ", ".join(escape(media) for media in sorted(media_types))
    bodies = operation.get("requestBody", {}).get("content", {})
    told = "".join(
        f"<h3>{escape(media)}</h3>{_table(content['schema'], schemas)}"
        for media, content in bodies.items()
        if media != "application/x-www-form-urlencoded"
    )
    return (
        f'<section><h2><span class="method">{method}</span> {escape(summary)}</h2>'
        f"<p>{spelt}</p>{told}<p>Answers: {answers}</p></section>"
    )


def _table(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(_kind(field))}</td>"
        f"<td>{'required' if required else escape(_default(field))}</td></tr>"
        for name, field, required in _fields(schema, schemas)
    )
    return f"<table><tr><th>Field</th><th>Type</th><th>Default</th></tr>{rows}</table>"


def _fields(schema: dict[str, Any], schemas: dict[str, Any]) -> list[tuple[str, Any, bool]]:
    if "$ref" in schema:
        return _fields(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas)
    found: dict[str, tuple[str, Any, bool]] = {}
    for part in schema.get("anyOf", []) + schema.get("allOf", []):
        for name, field, required in _fields(part, schemas):
            known = found.get(name)
            always = required if "allOf" in schema else required and (not known or known[2])
            found.setdefault(name, (name, field, always))
    for name, field in schema.get("properties", {}).items():
        found[name] = (name, field, name in schema.get("required", ()))
    return list(found.values())


def _kind(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_kind(part) for part in field["anyOf"] if part.get("type") != "null")
    if "$ref" in field:
        return str(field["$ref"].rsplit("/", 1)[1])
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    words = [str(field.get("format") or field.get("type") or "number")]
    limits = (("minimum", "from"), ("maximum", "to"), ("maxLength", "at most"))
    return " ".join(words + [f"{word} {field[key]}" for key, word in limits if key in field])


def _default(field: dict[str, Any]) -> str:
    value = field.get("default")
    return "" if value is None else str(value)
