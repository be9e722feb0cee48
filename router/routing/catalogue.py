"""Public names: which model a caller means, which voice, and what each is called elsewhere."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from router.contract.caller import Price
from router.contract.errors import UnknownModel, UnknownVoice, listed
from router.contract.speech import Capabilities, Voice
from router.settings.structs import Model, Route, Settings
from router.settings.structs import Voice as VoiceSettings


class Offered(msgspec.Struct, frozen=True, kw_only=True):
    """What one instance of a provider offers now: a frozen picture to plan with."""

    kind: str
    capabilities: Mapping[str, Capabilities] = {}
    voices: Mapping[str, Voice] = {}
    """By the voice's id, casefolded; one that is kept for its owner also by its name."""
    gain_db: float = 0.0
    place: str = ""
    """Whose voices they are, for two of a kind: a remote one's address, or the config's word."""
    off: str | None = None
    """Why it is off, for people."""


Offers = Mapping[str, Offered]
"""By instance name, in the order of the config."""


class PublicModel(NamedTuple):
    """A model by its public name."""

    name: str
    model: Model


class PublicVoice(NamedTuple):
    """A voice by its public name."""

    name: str
    voice: VoiceSettings


class Catalogue:
    """The names of the config, found trimmed and without regard to case."""

    def __init__(self, settings: Settings) -> None:
        self.models = settings.models
        self.voices = settings.voices
        self._prefix = settings.server.provider_prefix
        self._models = {_key(name): name for name in settings.models}
        self._voices = {_key(name): name for name in settings.voices}
        self._prices: dict[str, Price] = {}
        """Of each provider, what the first model that routes to it costs there."""
        for model in settings.models.values():
            for route in model.routes:
                self._prices.setdefault(route.provider, route.price or model.price)

    def model(self, asked: str, offers: Offers) -> PublicModel:
        """Find a model; `<provider>/<model>` reaches a provider directly where that is allowed.

        Raises:
            UnknownModel: with the names that come near.
        """
        name = self._models.get(_key(asked))
        if name is not None:
            return PublicModel(name, self.models[name])
        direct = self._direct(asked.strip(), offers) if self._prefix else None
        if direct is not None:
            return direct
        known = list(self.models)
        raise UnknownModel(f"There is no model {_said(asked)}.{_near(asked, known)}", param="model")

    def find_model(self, asked: str) -> PublicModel | None:
        """The model of that name, or `None`."""
        name = self._models.get(_key(asked))
        return None if name is None else PublicModel(name, self.models[name])

    def _direct(self, asked: str, offers: Offers) -> PublicModel | None:
        provider, _, model = asked.partition("/")
        offered = offers.get(provider)
        if offered is None or model not in offered.capabilities:
            return None
        route = Route(provider=provider, model=model)
        longest = offered.capabilities[model].max_chars or Model().max_input
        price = self._prices.get(provider, Price())
        own = Model(routes=(route,), max_input=longest, owned_by=provider, price=price)
        return PublicModel(asked, own)

    def voice(self, asked: str, offers: Offers, providers: Iterable[str]) -> PublicVoice:
        """Find a voice: a name of the config, else one that a provider of the route has itself.

        Raises:
            UnknownVoice: with the names that come near.
        """
        key = _key(asked)
        name = self._voices.get(key)
        if name is not None:
            return PublicVoice(name, self.voices[name])
        theirs: dict[str, str] = {}
        found: list[Voice] = []
        for provider in providers:
            voice = offers[provider].voices.get(key) if provider in offers else None
            if voice is not None:
                theirs[provider] = voice.id
                found.append(voice)
        if not found:
            known = [*self.voices, *self._foreign(offers, providers)]
            said = f"There is no voice {_said(asked)}.{_near(asked, known)}"
            raise UnknownVoice(said, param="voice")
        first = found[0]
        traits = VoiceSettings(
            name=first.name,
            languages=first.languages,
            gender=first.gender,
            style=first.style,
            pitch=first.pitch,
            providers=theirs,
        )
        return PublicVoice(first.id, traits)

    def _foreign(self, offers: Offers, providers: Iterable[str]) -> list[str]:
        theirs = (offers[name].voices.items() for name in providers if name in offers)
        return [v.id if key == _key(v.id) else v.name or v.id for all in theirs for key, v in all]


def _key(name: str) -> str:
    return name.strip().casefold()


def _said(name: str) -> str:
    """A caller's word for a message: short, and nothing that could break a line."""
    cleaned = "".join(c if c.isprintable() else "?" for c in name.strip())
    return repr(cleaned if len(cleaned) <= 64 else f"{cleaned[:64]}…")


def _near(asked: str, known: list[str]) -> str:
    close = difflib.get_close_matches(asked.strip().lower()[:64], known, n=3, cutoff=0.6)
    if close:
        return f" Did you mean {' or '.join(close)}? Known: {listed(known)}."
    return f" Known: {listed(known, most=40)}."
