"""What a provider promises before anything is spoken."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import msgspec

from router.contract.speech import Capabilities
from router.testing.subject import Subject, decoded, opened, patience

_IMPORT = """
import importlib, json, sys
module = importlib.import_module(sys.argv[1])
import pluggy
from router.contract import hookspecs
plugins = pluggy.PluginManager(hookspecs.PROJECT)
plugins.add_hookspecs(hookspecs)
plugins.register(module)
plugins.check_pending()
kinds = [kind.name for answer in plugins.hook.tts_provider_kinds() for kind in answer]
print(json.dumps([kinds, [name for name in sys.argv[2:] if name in sys.modules]]))
"""


async def import_is_light(subject: Subject) -> None:
    """Importing the plugin and asking for its kinds loads nothing heavy."""
    if subject.plugin is None:
        return
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _IMPORT, subject.plugin, *subject.heavy),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with patience(subject.patience_s, f"importing {subject.plugin}"):
            answer, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode == 0, f"{subject.plugin} cannot be imported and asked for its kinds"
    kinds, loaded = json.loads(answer)
    assert subject.kind.name in kinds, f"{subject.plugin} brings {kinds}, not {subject.kind.name}"
    assert not loaded, f"importing {subject.plugin} loads {', '.join(loaded)}"


async def unknown_settings_are_refused(subject: Subject) -> None:
    """A misspelt key is told at start, and settings cannot be changed later."""
    decoded(subject.kind, subject.settings)
    config = subject.kind.settings.__struct_config__
    assert config.frozen, "the settings are not a frozen struct"
    try:
        decoded(subject.kind, {**subject.settings, "no_such_setting": 1})
    except msgspec.ValidationError:
        return
    raise AssertionError("a setting that does not exist is accepted")


async def offers_are_cheap_and_consistent(subject: Subject) -> None:
    """What is on offer is data: complete, the same each time, and at once."""
    async with opened(subject) as provider:
        offers = provider.offers()
        assert offers, "nothing is on offer"
        assert subject.order.model in offers, f"{subject.order.model} is not on offer"
        for model, able in offers.items():
            mistake = _mistake_in_offer(able)
            assert not mistake, f"{model}: {mistake}"
        loop, quickest = asyncio.get_running_loop(), float("inf")
        for _ in range(3):
            began = loop.time()
            same = all(list(provider.offers().items()) == list(offers.items()) for _ in range(50))
            assert same, "the offers change from call to call"
            quickest = min(quickest, (loop.time() - began) / 50)
        assert quickest < 0.001, f"offers() takes {quickest * 1000:.1f} ms"


def _mistake_in_offer(able: Capabilities) -> str:
    if not able.formats:
        return "no format is offered"
    if len(set(able.formats)) < len(able.formats):
        return "a format is offered twice"
    for format in able.formats:
        if format.encoding == "pcm" and None in (format.sample_rate, format.channels):
            return "a pcm must tell its rate and its channels: it has no header that could"
    if able.max_chars is not None and able.max_chars < 1:
        return "max_chars leaves no room for a text"
    for name, bounds in (("speed", able.speed), ("pitch", able.pitch)):
        if bounds is not None and bounds[0] > bounds[1]:
            return f"{name}: the lowest is above the highest"
    return ""


async def voices_are_unique_and_named(subject: Subject) -> None:
    """Each voice has an id of its own, a name if any that can be read, and models that exist."""
    async with opened(subject) as provider:
        async with patience(subject.patience_s, "voices()"):
            voices = await provider.voices()
        ids = [voice.id for voice in voices]
        assert len(set(ids)) == len(ids), "two voices have one id"
        for voice in voices:
            assert voice.id.strip() == voice.id != "", "a voice has no clean id"
            assert voice.name is None or voice.name.strip(), f"{voice.id} has an empty name"
            strange: frozenset[str] = (voice.models or frozenset()) - set(provider.offers())
            assert not strange, f"{voice.id} is a voice of {strange}, which is not on offer"
