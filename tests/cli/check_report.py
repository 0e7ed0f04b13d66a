"""Opens a report in headless Chromium and uses it as a person does. Arguments: chromium, the report,
how many runs it shows, and optionally a folder for screenshots. Speaks Chromium's DevTools protocol
over its pipe; exits with 1 and one line for the first thing that is wrong."""

import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile


class Browser:
    """A page in Chromium; `problems` are its errors and everything written to its console."""

    def __init__(self, program, profile):
        to_browser, self.out = os.pipe()
        self.inp, from_browser = os.pipe()
        # The protocol's pipes are descriptors 3 and 4 of the browser.
        command = (
            'exec "$0" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage '
            f"--remote-debugging-pipe --user-data-dir={profile} about:blank "
            f"3<&{to_browser} 4>&{from_browser} 2>/dev/null"
        )
        self.process = subprocess.Popen(
            ["bash", "-c", command, program], pass_fds=(to_browser, from_browser)
        )
        os.close(to_browser)
        os.close(from_browser)
        self.buffer, self.count, self.problems, self.events = b"", 0, [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = None
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def receive(self):
        while b"\0" not in self.buffer:
            part = os.read(self.inp, 1 << 16)
            if not part:
                sys.exit("chromium ended")
            self.buffer += part
        message, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(message)
        method = message.get("method", "")
        self.events.append(method)
        if method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.problems.append(json.dumps(message["params"]))
        if method == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            if not url.startswith(("file:", "data:")):
                self.problems.append(f"asks for {url}")
        return message

    def call(self, method, **parameters):
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if getattr(self, "session", None):
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while (answer := self.receive()).get("id") != self.count:
            pass
        if "error" in answer:
            sys.exit(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, path, width, height, scheme="light"):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self.events = []
        self.call("Page.navigate", url=pathlib.Path(path).resolve().as_uri())
        while "Page.loadEventFired" not in self.events:
            self.receive()

    def value(self, expression):
        result = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in result:
            sys.exit(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def move(self, x, y):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, path):
        self.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 6000), "scale": 1}
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        pathlib.Path(path).write_bytes(base64.b64decode(picture["data"]))

    def paper(self, path):
        pathlib.Path(path).write_bytes(base64.b64decode(self.call("Page.printToPDF")["data"]))

    def close(self):
        self.session = None
        self.call("Browser.close")
        self.process.wait()


def check(condition, text):
    if not condition:
        sys.exit(text)


def check_slider(page):
    """Every sheet appears, and the real images on request."""
    count = page.value("Number(byId('time').max) + 1")
    seen = set()
    for place in range(count):
        page.value(f"byId('time').value = {place}; byId('time').dispatchEvent(new Event('input'))")
        seen.add(page.value("document.querySelector('.sheet img').src"))
        text = page.value("byId('time-text').textContent")
        check(text.endswith("kimg") or text == "start", f"the slider says {text!r}")
    check(count == 1 or len(seen) > 1, "the slider does not change the images")
    check(
        page.value("document.querySelector('.sheet img').decode().then(() => true, () => false)"),
        "a sheet cannot be decoded",
    )
    page.value("byId('reals').click()")
    check(page.value("document.querySelector('.sheet img').src") not in seen, "no real images")
    page.value("byId('reals').click()")


def check_hover(page):
    """The values under the mouse are those of the data."""
    chart = "[...document.querySelectorAll('.chart')].find((c) => !c.hidden && c.innerText.startsWith('Losses'))"
    page.value(f"{chart}.scrollIntoView({{block: 'center'}})")
    box = page.value(f"(({{x, y, width, height}}) => [x, y, width, height])"
                     f"({chart}.querySelector('.plot').getBoundingClientRect())")  # fmt: skip
    page.move(box[0] + box[2] - 8, box[1] + box[3] / 2)
    tip = page.value(f"{chart}.querySelector('.tip').innerText")
    expected = page.value("numberText(last(values(runs[0], 'Loss/G/loss')))")
    check(expected in tip, f"hover shows {tip!r}, and not {expected}")
    check(page.value(f"!{chart}.querySelector('.tip').hidden"), "no values under the mouse")
    page.move(2, 2)
    check(page.value(f"{chart}.querySelector('.tip').hidden"), "the values stay")


def check_settings(page):
    paths = "[...document.querySelectorAll('.line')].map((l) => l.getAttribute('d')).join()"
    before = page.value(paths)
    for change in ("byId('smooth').value = 0.9; byId('smooth').dispatchEvent(new Event('input'))",
                   "byId('axis').value = 'hours'; byId('axis').dispatchEvent(new Event('change'))",
                   "document.querySelector('.chart:not([hidden]) button:not([hidden])').click()"):  # fmt: skip
        page.value(change)
        after = page.value(paths)
        check(after != before, f"without effect: {change}")
        before = after
    check("NaN" not in before, "a curve has a point that is no number")


def check_print(page):
    """Charts are drawn for their width on paper, and for that of the window afterwards."""
    width = "document.querySelector('.chart:not([hidden]) .plot').viewBox.baseVal.width"
    page.value(f"window.addEventListener('beforeprint', () => window.printed = {width})")
    screen = page.value(width)
    page.call("Page.printToPDF")
    printed = page.value("window.printed")
    check(300 <= printed <= 400, f"charts are drawn {printed} wide for paper")
    check(page.value(width) == screen, "charts stay as they were for paper")


def main():
    chromium, report, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    pictures = sys.argv[4] if len(sys.argv) > 4 else None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        page = Browser(chromium, profile)
        page.open(report, 390, 844)
        check(
            page.value("document.documentElement.scrollWidth <= innerWidth"),
            "wider than the screen of a phone",
        )
        if pictures:
            page.screenshot(f"{pictures}/phone.png")
        check_hover(page)
        page.open(report, 1280, 900, "dark")
        if pictures:
            page.screenshot(f"{pictures}/dark.png")
        page.open(report, 1280, 900)
        cards = page.value("document.querySelectorAll('#summary article').length")
        check(cards == runs, f"{cards} runs are shown, not {runs}")
        if pictures:
            page.screenshot(f"{pictures}/desktop.png")
            page.paper(f"{pictures}/paper.pdf")
        check_slider(page)
        check_hover(page)
        check_settings(page)
        check_print(page)
        check(not page.problems, f"the browser complains: {page.problems[:3]}")
        page.close()


if __name__ == "__main__":
    main()
