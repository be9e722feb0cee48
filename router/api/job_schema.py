"""What the OpenAPI document tells of jobs beyond what Litestar can see."""

from __future__ import annotations

from typing import Any

import msgspec

from router.api import tts
from router.api.errors import Envelope
from router.api.job_body import ITEMS, JobTerms
from router.api.job_envelope import JobEnvelope
from router.api.job_info import JobInfo, JobList
from router.api.job_links import FILES
from router.api.jobs import PATH
from router.api.leaper import LeaperSpeech
from router.api.nanogpt import NanoGPTSpeech
from router.api.openai import CONTENT_TYPES, OpenAISpeech
from router.api.sse import CONTENT_TYPE as EVENTS
from router.api.tts_shape import NanoGPTJob
from router.api.tts_told import FinishedSpeech, JobStatus, Ticket

STRUCTS = (
    *(NanoGPTJob, JobTerms, JobInfo, JobList),
    *(Ticket, FinishedSpeech, JobStatus, JobEnvelope),
)
_REF = "#/components/schemas/{name}"
_SHAPES = (OpenAISpeech, LeaperSpeech, NanoGPTSpeech)
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_AUDIO = {media: _BINARY for media in sorted(set(CONTENT_TYPES.values()))}  # noqa: C420 - read only
_EXAMPLES = {
    "one": {
        "summary": "A book, with a call when it is done",
        "value": {
            "model": "tts-1",
            "input": "Once upon a time …",
            "voice": "alloy",
            "response_format": "mp3",
            "webhook_url": "https://example.com/spoken",
            "metadata": {"book": "4711"},
            "expires_in": 172_800,
        },
    },
    "batch": {
        "summary": "Several; what stands beside `items` holds for each that says nothing else",
        "value": {
            "model": "tts-1",
            "voice": "alloy",
            "items": [{"input": "One."}, {"input": "Two.", "voice": "echo"}],
        },
    },
}
_TTS_EXAMPLE = {"text": "Hello there!", "model": "tts-1", "voice": "alloy", "speed": 1.0}
_REREAD = ("cost", "paymentSource", "isApiRequest")
"""What clients send back of their ticket: read over."""


def envelope(path: str) -> type[msgspec.Struct]:
    """The body of a refusal at this path."""
    return JobEnvelope if path in (*tts.PATHS, *tts.STATUS_PATHS) else Envelope


def complete(path: str, method: str, operation: dict[str, Any]) -> None:
    """Add what is read and sent by hand."""
    responses = operation["responses"]
    if path in tts.PATHS:
        content = {"schema": _tts_body(), "example": _TTS_EXAMPLE}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
        responses["202"] = _said("A ticket: poll with its runId and model.", Ticket)
        responses["200"] = _said("Spoken: its address, or the audio itself.", FinishedSpeech)
        responses["200"]["content"] |= _AUDIO
    elif path in tts.STATUS_PATHS:
        _complete_poll(operation)
    elif path == PATH and method == "post":
        operation["requestBody"] = {"required": True, "content": _bodies()}
        responses["202"] = _said("The job, or those of the batch in its order.", JobInfo, JobList)
    elif path.startswith(PATH) and path.endswith("/events"):
        told = {"schema": {"type": "string"}}
        responses["200"] = {
            "description": "`progress` whenever it has changed, at last `completed`, `error` or "
            "`cancelled`; the data is the job.",
            "content": {EVENTS: told},
        }
    elif path.startswith(FILES) or (path.startswith(PATH) and path.endswith("/audio")):
        responses["200"] = {"description": "The file.", "content": _AUDIO}
        responses["206"] = {"description": "The part that `Range` asks for.", "content": _AUDIO}
        responses["304"] = {"description": "`If-None-Match` names the file."}


def _complete_poll(operation: dict[str, Any]) -> None:
    for parameter in operation["parameters"]:
        parameter["required"] = True
    operation["parameters"] += [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": "From the ticket; any value is taken, and read over.",
            "schema": {},
        }
        for name in _REREAD
    ]


def _bodies() -> dict[str, Any]:
    shapes = {"anyOf": [*(_of(shape) for shape in _SHAPES), _tts_body()]}
    one = {"allOf": [shapes, _of(JobTerms)]}
    items = {"type": "array", "minItems": 1, "maxItems": 1_000, "items": {"type": "object"}}
    batch = {"type": "object", "properties": {ITEMS: items}, "required": [ITEMS]}
    many = {"allOf": [_of(JobTerms), batch]}
    sample = {
        "type": "object",
        "properties": {"prompt_audio": {"type": "string", "format": "binary"}},
    }
    form = {"allOf": [_of(LeaperSpeech), _of(JobTerms), sample]}
    return {
        "application/json": {"schema": {"anyOf": [one, many]}, "examples": _EXAMPLES},
        "multipart/form-data": {"schema": form},
    }


def _tts_body() -> dict[str, Any]:
    """The text has one of two names."""
    named = {"anyOf": [{"required": ["text"]}, {"required": ["input"]}]}
    return {"allOf": [_of(NanoGPTJob), named]}


def _said(description: str, *structs: type[msgspec.Struct]) -> dict[str, Any]:
    found = [_of(struct) for struct in structs]
    schema = found[0] if len(found) == 1 else {"anyOf": found}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return {"$ref": _REF.format(name=struct.__name__)}
