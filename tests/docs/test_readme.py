"""The README, read and tried: what it shows runs, what it names exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from router import registry
from router.api.body import BODY_BYTES, CLIP_BYTES
from router.app.server import EXPOSED
from router.cli import main
from router.routing.plan import WHOLE_UP_TO
from router.settings.load import parse
from router.settings.structs import Model, Server, Timeouts
from tests.docs.conftest import Desk
from tests.docs.pages import DEFAULT_URL, README, Block, addresses, blocks, code, links
from tests.docs.routes import is_answered
from tests.support.process import ROOT, ServerProcess
from tests.support.sound import probed

RUN = "pip install '.[espeak,moss]' && tts-router serve"
CALLED = {
    ".wav": ("wav", "pcm_s16le"),
    ".mp3": ("mp3", "mp3"),
    ".opus": ("ogg", "opus"),
}
TEST = "pip install -e '.[espeak,test]' && tests/check.sh"

shell = blocks(README, "sh")
tried = [block for block in shell if not re.search(r"pip install|tts-router serve", block.text)]


def test_the_two_commands_stand_where_they_are_looked_for() -> None:
    marked = README.read_text("utf-8").partition("<!-- test command -->\n")[2]

    assert shell[0].text == f"{RUN}\n"
    assert marked.startswith(f"```sh\n{TEST}\n```\n")


def test_every_example_is_tried_or_starts_a_server() -> None:
    assert len(tried) >= 6
    assert len(shell) - len(tried) == 3  # run, test, and serve with a key


@pytest.mark.parametrize("block", tried, ids=lambda block: block.title)
def test_shell_examples_run_as_they_stand(block: Block, desk: Desk, server: ServerProcess) -> None:
    _run(["bash", "-euo", "pipefail", "-c", block.text.replace(DEFAULT_URL, server.url)], desk)

    _assert_spoken(re.findall(r"(?:-o|--output) (\w+\.\w+)", block.text), desk)


@pytest.mark.parametrize("block", blocks(README, "python"), ids=lambda block: block.title)
def test_python_examples_run_as_they_stand(block: Block, desk: Desk, server: ServerProcess) -> None:
    said = _run([sys.executable, "-c", block.text.replace(DEFAULT_URL, server.url)], desk)

    assert said == "spoken by espeak\n"
    _assert_spoken(re.findall(r'to_file\("(\S+?)"\)', block.text), desk)


@pytest.mark.parametrize("block", blocks(README, "yaml"), ids=lambda block: block.title)
def test_config_examples_are_configs(block: Block) -> None:
    parse(block.text, registry.find().providers)


def test_every_verb_and_no_other_is_told() -> None:
    verbs = set(main.list_commands(main.make_context("tts-router", [], resilient_parsing=True)))
    text = README.read_text("utf-8")
    table = text.partition("## The command")[2].partition("\n\n```")[0]

    assert set(re.findall(r"`(\w+)`(?=[ ,])", table)) >= verbs
    assert set(re.findall(r"tts-router ([a-z]+)\b", text)) <= verbs


def test_every_header_and_no_other_is_told() -> None:
    ours = {name for name in EXPOSED if name.startswith("X-")}

    assert {name for words in code(README) for name in re.findall(r"\bX-[\w-]+", words)} == ours


def test_every_path_that_is_named_is_answered() -> None:
    named = [words.removeprefix("GET ").removeprefix("POST ") for words in code(README)]
    paths = [words for words in named if words.startswith("/") and words != "/v1"]

    assert len(paths) > 8
    assert [path for path in paths if not is_answered(path)] == []
    for path in addresses(README):
        assert is_answered(path) or is_answered(f"{path}/audio/speech"), path


def test_every_key_that_is_named_exists() -> None:
    tables = {"server": Server(), "timeouts": Timeouts()}
    named = [re.fullmatch(r"(server|timeouts)\.(\w+)(: .+)?", words) for words in code(README)]
    keys = [(match[1], match[2]) for match in named if match]
    values = [words for words in code(README) if re.fullmatch(r"[a-z_]+: \w+", words)]

    assert len(keys) > 4
    assert [key for table, key in keys if not hasattr(tables[table], key)] == []
    for words in values:
        ((key, _),) = yaml.safe_load(words).items()
        assert hasattr(Model(), key), words


def test_the_numbers_are_those_of_the_code() -> None:
    text, timeouts = " ".join(README.read_text("utf-8").split()), Timeouts()

    for said in (
        f"{Model().max_input:,} characters a text",
        f"{Server().places} speeches at once",
        f"{timeouts.first_audio_s:.0f} seconds for one provider's first sound",
        f"({timeouts.clone_first_audio_s:.0f} with a voice sample)",
        f"and {timeouts.deadline_s:.0f} for all of them together",
        f"body over {BODY_BYTES // 2**20} MiB",
        f"{CLIP_BYTES // 2**20} MB a voice sample",
        f"up to {WHOLE_UP_TO:,} characters come whole",
    ):
        assert said in text, said


def test_the_tree_names_every_room() -> None:
    (tree,) = blocks(README, "")
    rooms = [
        path.parent.name
        for top in ("router", "providers")
        for path in (ROOT / top).glob("*/__init__.py")
    ]

    assert {"router", "providers", "config", "tests", "grafana"} <= set(
        re.findall(r"^(\w+)/", tree.text, re.MULTILINE)
    )
    assert [room for room in rooms if not re.search(rf"\b{room}\b", tree.text)] == []


def test_every_link_leads_somewhere() -> None:
    assert [target for target in links(README) if not (ROOT / target).exists()] == []


def _run(command: list[str], desk: Desk) -> str:
    done = subprocess.run(
        command,
        cwd=desk.folder,
        env=desk.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _assert_spoken(files: list[str], desk: Desk) -> None:
    for name in files:
        found = probed(desk.folder / name)
        assert (found.container, found.codec) == CALLED[Path(name).suffix]
        assert 0.4 < found.seconds < 6
