"""From a YAML file to checked settings: find it, read it, expand `${ENV}`, check it, join it."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import yaml

from router.contract.provider import Kind
from router.settings import keys, prices, tracing, webhook_secret
from router.settings.problems import UNSET, Problem, convert, near, problems
from router.settings.structs import File, Model, Provider, ProviderEntry, Settings, Voice

VARIABLE = "TTS_ROUTER_CONFIG"
LOCAL = Path("config/router.yaml")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_MERGE, _TEXT = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:str"
_SHARED_KEYS = {field.encode_name for field in msgspec.structs.fields(ProviderEntry)}


class BadConfig(Exception):
    """The file cannot be used; `problems` says why, all at once."""

    def __init__(self, source: str, found: list[Problem]) -> None:
        super().__init__("\n".join(f"{source}: {problem}" for problem in found))
        self.source = source
        self.problems = found


def find(given: str | None) -> tuple[str, str]:
    """The config file's name for people, and its text.

    `given`, else $TTS_ROUTER_CONFIG, else `config/router.yaml` here, else the copy in the package.

    Raises:
        BadConfig: a file that was named cannot be read.
    """
    named = given or os.environ.get(VARIABLE)
    path = Path(named) if named else LOCAL
    if named or path.is_file():
        try:
            return str(path), path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problem = Problem("(the file)", f"cannot be read: {type(error).__name__}")
            raise BadConfig(str(path), [problem]) from error
    return "the packaged default", packaged_default()


def packaged_default() -> str:
    """The text of `config/router.yaml` as it was shipped (in a source tree: as it stands there)."""
    packaged = resources.files("router.settings") / "router.yaml"
    if packaged.is_file():
        return packaged.read_text("utf-8")
    return (Path(__file__).parents[2] / LOCAL).read_text("utf-8")


def load(given: str | None, kinds: Mapping[str, Kind]) -> Settings:
    """Find and check the config. Raises BadConfig."""
    source, text = find(given)
    return parse(text, kinds, source)


def parse(text: str, kinds: Mapping[str, Kind], source: str = "(text)") -> Settings:
    """Check the text of a config against what may be written and the kinds that are installed.

    Raises:
        BadConfig: with every mistake.
    """
    try:
        missing: dict[str, str] = {}
        raw = yaml.load(text, _Loader) or {}  # noqa: S506  # a SafeLoader, see below
        raw = _expanded(raw, os.environ, "", missing)
    except yaml.YAMLError as error:
        raise BadConfig(source, [_syntax(error)]) from error
    except RecursionError as error:
        raise BadConfig(source, [Problem("(the file)", "a part of it contains itself")]) from error
    if not isinstance(raw, dict):
        raise BadConfig(source, [Problem("(the file)", "must be a table of keys")])
    own = _split_providers(raw)
    found = list(_unset_outside_providers(missing))
    providers, provider_problems = _providers(raw, own, kinds, missing)
    voices = _with_known_voices(raw.get("voices"))
    for table in ("models", "voices"):
        joined, lost = _joined(voices if table == "voices" else raw.get(table), table)
        raw[table] = joined
        found += lost
    found += [*problems(raw, File), *provider_problems]
    if not found:
        file = convert(raw, File)
        found += _crossed(file)
    if found:
        raise BadConfig(source, found)
    return Settings(
        server=file.server,
        timeouts=file.timeouts,
        integrity=file.integrity,
        outlook=file.outlook,
        cache=file.cache,
        jobs=file.jobs,
        metrics=file.metrics,
        tracing=file.tracing,
        accounts=file.accounts,
        providers=providers,
        models=file.models,
        voices=file.voices,
        source=source,
    )


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C: 7 times faster
    """Safe YAML in which a key is the word that is written (`no` is no switch here), and a key that
    stands twice is an error, not a silent loss."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key, mark = key_node.value, key_node.start_mark
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", mark)
            if key_node.tag != _MERGE:
                if key in seen:
                    wrong = f"{key!r} stands twice"
                    raise yaml.constructor.ConstructorError(None, None, wrong, mark)
                seen.add(key)
                key_node.tag = _TEXT
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


def _syntax(error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "(the file)"
    what = getattr(error, "problem", None) or "this is not YAML"
    return Problem(where, str(what), "see the YAML around that place")


def _expanded(value: Any, env: Mapping[str, str], path: str, missing: dict[str, str]) -> Any:
    """Put the environment's values in, after parsing, so that no value can become YAML."""
    if isinstance(value, dict):
        items = ((key, item, f"{path}.{key}" if path else str(key)) for key, item in value.items())
        return {key: _expanded(item, env, at, missing) for key, item, at in items}
    if isinstance(value, list):
        return [_expanded(item, env, f"{path}[{i}]", missing) for i, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value
    for name, default in _REFERENCE.findall(value):
        if not env.get(name) and f"${{{name}:-" not in value:
            missing[path] = name
            return UNSET
        del default
    return _REFERENCE.sub(lambda match: env.get(match[1]) or match[2] or "", value)


def _unset_outside_providers(missing: Mapping[str, str]) -> Iterator[Problem]:
    for path, name in missing.items():
        if not path.startswith("providers."):
            yield Problem(path, f"${name} is not set", f"set it, or write ${{{name}:-default}}")


def _split_providers(raw: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Take every provider's own keys out of `raw`; what all kinds share stays."""
    own: dict[str, dict[str, Any]] = {}
    tables = raw.get("providers")
    if not isinstance(tables, dict):
        return own
    for name, table in tables.items():
        if isinstance(table, dict):
            own[name] = {key: item for key, item in table.items() if key not in _SHARED_KEYS}
            tables[name] = {key: item for key, item in table.items() if key in _SHARED_KEYS}
    return own


def _providers(
    raw: dict[str, Any],
    own: dict[str, dict[str, Any]],
    kinds: Mapping[str, Kind],
    missing: Mapping[str, str],
) -> tuple[dict[str, Provider], list[Problem]]:
    made: dict[str, Provider] = {}
    found: list[Problem] = []
    for name, table in own.items():
        shared, path = raw["providers"][name], f"providers.{name}"
        if shared.get("kind") is UNSET:
            found.append(
                Problem(f"{path}.kind", "needs a variable that is not set", "write it out")
            )
            continue
        if any(problems(shared, ProviderEntry)):
            continue  # told with the rest of the file
        # What is not set switches the provider off, below; until then the default stands for it.
        shared = raw["providers"][name] = {k: v for k, v in shared.items() if v is not UNSET}
        entry = convert(shared, ProviderEntry)
        kind = kinds.get(entry.kind)
        unset = [(at, var) for at, var in missing.items() if at.startswith(f"{path}.")]
        off = _why_off(entry, kind, kinds, [var for _, var in unset])
        if kind is not None:
            found += problems(table, kind.settings, path)
        if entry.enabled is True and off is not None:
            where = unset[0][0] if unset else f"{path}.kind"
            found.append(Problem(where, off, "or write `enabled: auto`"))
        settings = None
        if not found and off is None and kind is not None:
            try:
                settings = convert(table, kind.settings)
            except msgspec.ValidationError as error:  # what only the whole table can tell
                found.append(Problem(path, str(error).replace("`", "")))
        made[name] = Provider(name=name, entry=entry, settings=settings, off=off)
    return made, found


def _why_off(
    entry: ProviderEntry, kind: Kind | None, kinds: Mapping[str, Kind], unset: list[str]
) -> str | None:
    if entry.enabled is False:
        return "it is switched off in the config"
    if kind is None:
        return f"no plugin brings the kind {entry.kind!r} ({near(entry.kind, list(kinds))})"
    for module, how in kind.requires.items():
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed ({how})"
    if unset:
        return f"{', '.join(f'${name}' for name in unset)} is not set"
    return None


def _with_known_voices(given: Any) -> Any:
    """The voice names that everybody knows, with the file's own keys laid over them."""
    text = (resources.files("router.settings") / "voices.yaml").read_text("utf-8")
    known = yaml.load(text, _Loader)  # noqa: S506  # a SafeLoader, see above
    if given is None:
        return known
    if not isinstance(given, dict):
        return given
    laid = dict(known)
    for name, table in given.items():
        base = laid.get(name)
        laid[name] = _over(base, table) if base and isinstance(table, dict) else table
    return laid


def _over(base: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    joined = base | table
    ours, theirs = base.get("providers"), table.get("providers")
    if isinstance(ours, dict) and isinstance(theirs, dict):
        joined["providers"] = ours | theirs
    return joined


def _joined(tables: Any, path: str) -> tuple[Any, list[Problem]]:
    """Fill each table that is `same_as` another with the other's keys."""
    if not isinstance(tables, dict):
        return {} if tables is None else tables, []
    found = []
    joined: dict[str, Any] = {}
    for name, table in tables.items():
        target = table.get("same_as") if isinstance(table, dict) else None
        joined[name] = table
        if not isinstance(target, str):
            continue  # a wrong type is told with the rest of the file
        base = tables.get(target)
        if not isinstance(base, dict) or base.get("same_as"):
            wrong = f"{target!r} is not a name here that stands for itself"
            found.append(Problem(f"{path}.{name}.same_as", wrong, near(str(target), list(tables))))
            continue
        joined[name] = _over(base, table)
    return joined, found


def _crossed(file: File) -> list[Problem]:
    """What only the whole file can tell: names that point nowhere, names that are the same."""
    found = list(_proxies(file.server.trusted_proxies))
    for name, model in file.models.items():
        path = f"models.{name}.routes"
        if not model.routes:
            found.append(Problem(path, "is empty", "name at least one provider"))
        for index, route in enumerate(model.routes):
            if route.provider not in file.providers:
                remedy = near(route.provider, list(file.providers))
                wrong = f"there is no provider {route.provider!r}"
                found.append(Problem(f"{path}[{index}].provider", wrong, remedy))
        found += _default_voice(name, model, file.voices)
    found += prices.wrong(file.models)
    if file.accounts is not None:
        found += keys.wrong(file.accounts, file)
    found += keys.wrong_readers(file.metrics, file.server)
    found += webhook_secret.wrong(file.jobs.webhooks)
    found += tracing.wrong(file.tracing)
    for table, names in (("models", file.models), ("voices", file.voices)):
        seen: dict[str, str] = {}
        for name in names:
            other = seen.setdefault(name.strip().casefold(), name)
            if other != name:
                wrong = f"is the same name as {other!r}: case does not count"
                found.append(Problem(f"{table}.{name}", wrong))
    return found


def _proxies(given: tuple[str, ...]) -> Iterator[Problem]:
    for index, network in enumerate(given):
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            wrong = f"{network!r} is no address and no network"
            yield Problem(f"server.trusted_proxies[{index}]", wrong, "for example 10.0.0.0/8")


def _default_voice(name: str, model: Model, voices: Mapping[str, Voice]) -> list[Problem]:
    if model.default_voice is None or model.default_voice in voices:
        return []
    wrong = f"there is no voice {model.default_voice!r}"
    remedy = near(model.default_voice, list(voices))
    return [Problem(f"models.{name}.default_voice", wrong, remedy)]
