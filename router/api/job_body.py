"""What is handed in as jobs: one body of any shape, or a batch of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from router.api import shapes, tts_shape
from router.api.body import Body, without_clip
from router.api.fields import Asked
from router.contract.errors import CallerError, InvalidRequest
from router.contract.speech import SpeechRequest
from router.jobs.job import Submission
from router.jobs.webhooks.targets import LONGEST as LONGEST_URL
from router.routing.catalogue import Catalogue
from router.settings.jobs import LONGEST_KEEP_S
from router.settings.structs import Settings

ITEMS = "items"
MOST_METADATA = 16
_SHORTEST_KEEP_S = 60


class JobTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a job beside what is to be spoken."""

    webhook_url: Annotated[str, Meta(max_length=LONGEST_URL)] | None = None
    """Is told how the job ended."""
    metadata: Annotated[
        dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
        Meta(max_length=MOST_METADATA),
    ] = {}
    """The caller's own words, told again with the job."""
    expires_in: Annotated[int, Meta(ge=_SHORTEST_KEEP_S, le=LONGEST_KEEP_S)] | None = None
    """Seconds for which the job and its audio are kept after its end."""


_OWN = frozenset(JobTerms.__struct_fields__)


class Reading:
    """Reads bodies with the names of one config."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self._strict = settings.server.strict
        self._most = settings.jobs.batch_most
        self._catalogue = catalogue

    def submissions(self, body: Body) -> list[Submission]:
        """What was handed in, in its order. Raises CallerError; of a batch it names the item."""
        if ITEMS not in body.fields:
            return [self._one(body)]
        return list(self._batch(body.fields))

    def asked(self, body: Body) -> Asked:
        """One body without a job's own fields, in the router's words. Raises CallerError."""
        if "text" in body.fields and "input" not in body.fields:
            return self.asked_by_tts(body.fields)
        endpoint = shapes.of_any(body)
        shape = shapes.family(endpoint, body, self._catalogue)
        return shapes.normalised(
            endpoint,
            shape,
            body,
            accept=None,
            catalogue=self._catalogue,
            strict=shape in self._strict,
        )

    def asked_by_tts(self, fields: dict[str, Any]) -> Asked:
        """A body of NanoGPT's flow of jobs. Raises CallerError."""
        return tts_shape.normalised(fields, self._catalogue, strict="nanogpt" in self._strict)

    def _one(self, body: Body) -> Submission:
        terms = _terms(body.fields)
        fields = {name: value for name, value in body.fields.items() if name not in _OWN}
        return submission(self.asked(body._replace(fields=fields)).request, fields, terms)

    def _batch(self, fields: Mapping[str, Any]) -> Iterator[Submission]:
        items = fields[ITEMS]
        if not isinstance(items, list) or not 1 <= len(items) <= self._most:
            raise InvalidRequest(f"items must be a list of 1 to {self._most} jobs.", param=ITEMS)
        shared = {name: value for name, value in fields.items() if name != ITEMS}
        for index, item in enumerate(items):
            try:
                if not isinstance(item, dict):
                    raise InvalidRequest("A job must be a JSON object.")
                said = {name: value for name, value in item.items() if value is not None}
                yield self._one(Body(without_clip(shared | said), None, is_multipart=False))
            except CallerError as error:
                raise of_item(error, index) from error


def submission(request: SpeechRequest, fields: Mapping[str, Any], terms: JobTerms) -> Submission:
    """The job for this request; a wish for how the body is sent means nothing to it."""
    sent = fields.get("model")
    return Submission(
        request=msgspec.structs.replace(request, stream=None),
        asked_model=sent if isinstance(sent, str) and sent else request.model,
        metadata=terms.metadata,
        webhook_url=terms.webhook_url,
        expires_in_s=terms.expires_in,
    )


def of_item(error: CallerError, index: int) -> CallerError:
    """The same error, which now names the item of the batch."""
    error.message = f"Item {index}: {error.message}"
    error.param = f"{ITEMS}[{index}].{error.param}" if error.param else f"{ITEMS}[{index}]"
    return error


def once_of(key: str | None, submissions: Sequence[Submission]) -> tuple[str, bytes] | None:
    """An Idempotency-Key with a hash of all that came under it. The key is hashed as well: without
    it nobody can find out from the hash whether it is of a text that they guess."""
    if key is None:
        return None
    hash = hashlib.sha256(key.encode("utf-8", "surrogatepass"))
    for one in submissions:
        sample = one.request.clip.data if one.request.clip is not None else b""
        plain = msgspec.structs.replace(one.request, clip=None)
        said = msgspec.msgpack.encode(msgspec.structs.replace(one, request=plain))
        for part in (said, sample):
            hash.update(len(part).to_bytes(8) + part)
    return key, hash.digest()


def _terms(fields: Mapping[str, Any]) -> JobTerms:
    own = {name: fields[name] for name in _OWN if name in fields}
    if isinstance(own.get("metadata"), str):  # a form's field
        own["metadata"] = _table(own["metadata"])
    for name, value in own.items():
        try:
            msgspec.convert({name: value}, JobTerms, strict=False)
        except msgspec.ValidationError as error:
            what = str(error).partition(" - at")[0].replace("`", "")
            raise InvalidRequest(f"{name}: {what[:1].lower()}{what[1:]}.", param=name) from error
    return msgspec.convert(own, JobTerms, strict=False)


def _table(words: str) -> Any:
    try:
        return msgspec.json.decode(words)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidRequest("metadata must be a JSON object.", param="metadata") from error
