"""The operations page in a real browser: it can be read by everybody, and keeps itself fresh."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.browser.devtools import CHROMIUM, Tab, browser, tab
from tests.support.process import ServerProcess, serving
from tests.support.scripts import SCRIPTED, SPEECH, UNJUDGED, asking, models, scripted
from tests.support.wire import exchange

NPM = shutil.which("npm")
AXE = "axe-core@4"
PACK_S = 60
HASTE = 20
"""The page's clock in the tests: three seconds pass in 150 ms."""
HURRIED = f"""
  const slowly = window.setTimeout;
  window.setTimeout = (act, after) => slowly(act, after / {HASTE});
  const asked = window.fetch;
  window.asked = 0;
  window.fetch = (...all) => {{ window.asked += 1; return asked(...all); }};
"""
SCREENS = {"desktop": (1280, 900), "phone": (360, 800)}
pytestmark = pytest.mark.timeout(PACK_S + 30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A router of which something can be told: one is on, one off, one left alone, one speaks."""
    routes = {"good": ("good",), "second": ("busy", "good"), "long": ("long",), "none": ("off",)}
    config = {
        "integrity": UNJUDGED,
        "server": {"places": 3},
        "providers": {
            "good": scripted(seconds=0.2, limits={"concurrent": 3}),
            "busy": scripted(fail="busy", retry_after_s=300),
            "long": scripted(seconds=1e6, pace=0.2),
            "off": scripted(enabled=False),
        },
        "models": models(routes),
    }
    with serving(config, tmp_path_factory.mktemp("page"), plugins=[SCRIPTED]) as server:
        yield server


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with browser(tmp_path_factory.mktemp("chromium")) as port:
        yield port


@pytest.fixture
async def page(port: int, server: ServerProcess) -> AsyncIterator[Tab]:
    """The page with something on it."""
    for model in ("good", "second", "none", "nobody"):
        await exchange(server.url, SPEECH, asking(model))
    async with tab(port) as page:
        await page.call("Page.addScriptToEvaluateOnNewDocument", source=HURRIED)
        await page.open(f"{server.url}/")
        yield page


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe, from wherever npm is set up to look."""
    if NPM is None:
        pytest.skip("there is no npm on this machine")
    folder = tmp_path_factory.mktemp("axe")
    pack = [NPM, "pack", "--silent", "--loglevel=error", AXE]
    try:
        done = subprocess.run(
            pack, cwd=folder, capture_output=True, text=True, check=False, timeout=PACK_S
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm cannot reach its registry in time")
    if done.returncode != 0:
        pytest.skip("npm cannot fetch axe-core: is there a network?")
    with tarfile.open(next(folder.glob("*.tgz"))) as packed:
        script = packed.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


async def look(page: Tab, screen: str, scheme: str) -> None:
    """See it on such a screen, in the dark or the light."""
    width, height = SCREENS[screen]
    await page.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=height,
        deviceScaleFactor=1,
        mobile=screen == "phone",
    )
    feature = {"name": "prefers-color-scheme", "value": scheme}
    await page.call("Emulation.setEmulatedMedia", features=[feature])


async def violations(page: Tab, axe: str) -> list[dict[str, Any]]:
    await page.js(f"{axe};0")
    found = json.loads(await page.js("axe.run().then(found => JSON.stringify(found))"))
    assert len(found["passes"]) > 15, "it has hardly looked"
    told: list[dict[str, Any]] = found["violations"]
    return told


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
async def test_everybody_can_read_it(page: Tab, axe: str, screen: str, scheme: str) -> None:
    await look(page, screen, scheme)

    found = await violations(page, axe)

    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


async def test_the_search_for_faults_would_find_them(page: Tab, axe: str) -> None:
    await page.js("document.getElementById('pause').textContent = ''")
    await page.js("document.querySelector('h1').insertAdjacentHTML('beforeend', '<img src>')")

    found = {one["id"] for one in await violations(page, axe)}

    assert {"button-name", "image-alt"} <= found


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_ground_is_as_dark_as_the_reader_wants_it(page: Tab, scheme: str) -> None:
    await look(page, "desktop", scheme)

    ground = await page.js(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    )

    assert (sum(ground) > 3 * 200) == (scheme == "light")


async def test_a_phone_needs_not_be_pushed_sideways(page: Tab) -> None:
    await look(page, "phone", "light")

    assert await page.js("document.documentElement.scrollWidth <= innerWidth")


async def test_nothing_comes_from_elsewhere_and_nothing_breaks(
    page: Tab, server: ServerProcess
) -> None:
    await page.until_js("window.asked >= 2")

    urls = {told["request"]["url"] for told in page.told("Network.requestWillBeSent")}
    assert urls - {"data:,"} == {f"{server.url}/"}
    assert page.told("Log.entryAdded") == page.told("Runtime.exceptionThrown") == []


async def test_new_requests_appear_by_themselves(page: Tab, server: ServerProcess) -> None:
    await page.js("window.isTheSame = true")
    row = "document.querySelector('#recent tbody tr').innerText"
    assert "unknown_model" in await page.js(row)

    await exchange(server.url, SPEECH, asking("good"))

    await page.until_js(f"{row}.includes('good') && {row}.includes('spoken')")
    assert await page.js("window.isTheSame"), "it was loaded anew"


async def test_what_has_not_changed_is_left_alone(page: Tab) -> None:
    """A selection, or the place where somebody reads, is not lost every three seconds."""
    await page.js("window.before = document.querySelector('#models table')")
    await page.until_js("window.asked >= 3")

    assert await page.js("window.before.isConnected")


async def test_it_rests_while_it_is_paused(page: Tab) -> None:
    await page.js("document.getElementById('pause').click()")
    assert await is_at_rest(page)

    await page.js("document.getElementById('pause').click()")
    await page.until_js("window.asked > window.asked_before")


async def test_it_rests_while_nobody_sees_it(page: Tab) -> None:
    hide = "Object.defineProperty(document, 'hidden', {get: () => HIDDEN, configurable: true});"
    tell = "document.dispatchEvent(new Event('visibilitychange'))"
    await page.js(hide.replace("HIDDEN", "true") + tell)
    assert await is_at_rest(page)

    await page.js(hide.replace("HIDDEN", "false") + tell)
    await page.until_js("window.asked > window.asked_before")


async def is_at_rest(page: Tab) -> bool:
    """Whether nothing is asked for in four of its spans; what was under way may end before."""
    await asyncio.sleep(0.1)
    await page.js("window.asked_before = window.asked")
    await page.js(f"new Promise(done => slowly(done, {4 * 3000 / HASTE}))")
    return bool(await page.js("window.asked === window.asked_before"))


async def test_it_says_when_its_figures_are_old(page: Tab) -> None:
    lost = "document.getElementById('lost')"
    line = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    await page.call("Network.emulateNetworkConditions", offline=True, **line)
    await page.until_js(f"!{lost}.hidden")
    assert "No fresh figures since" in await page.js(f"{lost}.textContent")

    await page.call("Network.emulateNetworkConditions", offline=False, **line)
    await page.until_js(f"{lost}.hidden")


async def test_a_browser_without_scripts_reads_it_and_loads_it_again(
    page: Tab, server: ServerProcess
) -> None:
    await page.call("Emulation.setScriptExecutionDisabled", value=True)
    await page.open(f"{server.url}/")

    root = (await page.call("DOM.getDocument"))["root"]["nodeId"]
    found = {
        name: (await page.call("DOM.querySelector", nodeId=root, selector=selector))["nodeId"]
        for name, selector in {
            "again": "head meta[http-equiv=refresh][content='10']",
            "row": "#recent tbody tr",
            "no button": "#pause[hidden]",
        }.items()
    }
    assert all(found.values()), found
