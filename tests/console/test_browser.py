"""The console in a real browser: the walk, without scripts too, on a phone and in the dark, and against other sites."""

import asyncio
import contextlib
import hashlib
import http.server
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from opspilot_mcp import clock
from opspilot_mcp.gate import state
from tests.builders import stored_ticket
from tests.gate.conftest import NOON, PASSPHRASE, House

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install opspilot-mcp[dev]")
from selenium.webdriver.chrome.service import Service  # noqa: E402 - after the skip
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support import expected_conditions  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromium-driver are not installed"),
]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START = "import sys; from opspilot_mcp.console.app import main; sys.exit(main(sys.argv[1:]))"
Open = Callable[..., Any]


@pytest.fixture
def address(house: House) -> Iterator[str]:
    """The console as its own process over the house; returns where it listens."""
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(house.root), "0"], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    yield process.stderr.readline().strip().removeprefix("Console: ")
    process.terminate()
    process.communicate(timeout=10)


@pytest.fixture
def open_chromium(tmp_path: Path) -> Iterator[Open]:
    """Open a fresh Chromium of a given size and colour scheme."""
    with contextlib.ExitStack() as stack:

        def start(*, width: int = 1280, height: int = 900, dark: bool = False, scripts: bool = True) -> Any:
            options = webdriver.ChromeOptions()
            options.binary_location = CHROMIUM
            profile = tmp_path / f"chromium-{width}-{dark}-{scripts}"
            for flag in [*FLAGS, f"--user-data-dir={profile}"]:
                options.add_argument(flag)
            options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
            driver = webdriver.Chrome(options=options, service=Service(DRIVER))
            stack.callback(driver.quit)
            driver.set_page_load_timeout(30)
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
            driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
            return driver

        yield start


def sign_in(driver: Any, address: str, path: str = "/") -> None:
    driver.get(address + path)
    driver.find_element(By.NAME, "name").send_keys("ana")
    driver.find_element(By.NAME, "passphrase").send_keys(PASSPHRASE)
    press(driver, "button.primary")


def press(driver: Any, selector: str) -> None:
    """Click, and wait until the page that was there is gone and the next one is whole."""
    page = driver.find_element(By.TAG_NAME, "html")
    driver.find_element(By.CSS_SELECTOR, selector).click()
    WebDriverWait(driver, 20).until(expected_conditions.staleness_of(page))
    WebDriverWait(driver, 20).until(
        lambda _: driver.find_elements(By.TAG_NAME, "main") or "only from" in driver.page_source
    )


def visit(driver: Any, url: str) -> None:
    """Open a page and wait until its styles are there: the driver sometimes returns before."""
    driver.get(url)
    WebDriverWait(driver, 20).until(lambda _: driver.execute_script("return document.readyState") == "complete")


def words(driver: Any) -> str:
    return str(driver.find_element(By.TAG_NAME, "main").text)


def complaints(driver: Any) -> list[str]:
    """Return what the browser's console holds: a refused style, script or image stands there."""
    return [entry["message"] for entry in driver.get_log("browser") if "401" not in entry["message"]]


async def test_a_person_signs_in_reads_signs_and_the_shown_bytes_are_sent(
    house: House, address: str, open_chromium: Open
) -> None:
    message_id = await house.page()
    driver = await asyncio.to_thread(open_chromium)

    await asyncio.to_thread(sign_in, driver, address)
    await asyncio.to_thread(driver.find_element(By.TAG_NAME, "body").send_keys, "j" + Keys.ENTER)
    WebDriverWait(driver, 20).until(expected_conditions.presence_of_element_located((By.ID, "sign")))
    shown = driver.find_element(By.CSS_SELECTOR, ".sha code").text
    text = driver.find_element(By.CSS_SELECTOR, "pre.bytes").text
    await asyncio.to_thread(press, driver, "#sign")
    said = words(driver)
    await house.tick(clock.now_ms())

    [content] = house.sent().values()
    assert hashlib.sha256(content).hexdigest() == shown
    assert text == "Primary database does not answer."
    assert "Signed." in said
    assert complaints(driver) == []
    assert (await house.told(message_id)).state == "sent"


async def test_everything_works_without_scripts(house: House, address: str, open_chromium: Open) -> None:
    message_id = await house.page()
    driver = await asyncio.to_thread(open_chromium, scripts=False)

    await asyncio.to_thread(sign_in, driver, address, f"/messages/{message_id}")
    await asyncio.to_thread(driver.find_element(By.CSS_SELECTOR, "#edit summary").click)
    body = driver.find_element(By.ID, "body")
    body.clear()
    body.send_keys("Call Ana now.")
    await asyncio.to_thread(press, driver, "#edit button.primary")
    await asyncio.to_thread(press, driver, "#sign")

    view = await house.gate.view(message_id)
    assert (view.message.version, view.message.state, view.text) == (2, "approved", "Call Ana now.")


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
async def test_pages_fit_and_load_nothing_that_is_refused(
    house: House, address: str, open_chromium: Open, width: int, dark: bool, tmp_path: Path
) -> None:
    ticket = await house.desk.write(stored_ticket, now=NOON, subject="W" * 200, body="x" * 3000)
    reply = await house.reply(ticket.number, body="See https://login.example.org/" + "a" * 300 + "\nпривет")
    await house.page()
    driver = await asyncio.to_thread(open_chromium, width=width, dark=dark)
    await asyncio.to_thread(sign_in, driver, address)

    for path in (
        "/",
        f"/messages/{reply}",
        "/tickets",
        f"/tickets/{ticket.id}",
        "/incidents/INC-1",
        "/dashboard",
        "/gate",
        "/audit",
    ):
        await asyncio.to_thread(visit, driver, address + path)
        driver.save_screenshot(str(tmp_path / f"page-{width}-{dark}.png"))
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width, path

    ground = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(18, 22, 21)" if dark else "rgb(246, 247, 245)")
    assert complaints(driver) == []


class _Attacker(http.server.BaseHTTPRequestHandler):
    """Another application on this machine, on another port: the same site to a browser, another origin."""

    target = ""

    def do_GET(self) -> None:
        page = f"""<iframe src="{self.target}/"></iframe><img src="{self.target}/static/mark.svg">
        <form method="post" action="{self.target}/gate/kill"><input name="token"><button id="go">x</button></form>"""
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


async def test_another_application_on_this_machine_can_neither_frame_nor_post(
    house: House, address: str, open_chromium: Open
) -> None:
    _Attacker.target = address
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Attacker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    driver = await asyncio.to_thread(open_chromium)
    await asyncio.to_thread(sign_in, driver, address)

    await asyncio.to_thread(driver.get, f"http://127.0.0.1:{server.server_port}/")
    width = driver.execute_script("return document.images[0].naturalWidth")
    refused = driver.get_log("browser")
    await asyncio.to_thread(press, driver, "#go")
    answer = driver.find_element(By.TAG_NAME, "body").text
    server.shutdown()

    assert width == 0
    assert any("403" in entry["message"] or "frame" in entry["message"] for entry in refused)
    assert "only from the console's own pages" in answer
    assert (await house.gate.db.read(_killed_by)) is None


def _killed_by(conn: Connection) -> str | None:
    return state.read(conn).killed_by
