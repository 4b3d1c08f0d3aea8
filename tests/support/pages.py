"""What a page is held to: read as HTML, and opened in Chromium."""

import html.parser
import json
import re
import shutil
import subprocess

VOID = {"meta", "link", "img", "br", "hr", "col", "input"}
BROWSER = next(
    filter(
        None,
        map(shutil.which, ("chromium", "chromium-browser", "google-chrome")),
    ),
    None,
)
# A window has a least width: the page stands in a frame of the width asked for.
_FRAME = """<!DOCTYPE html><html><head><script>
addEventListener("message", event => {
  document.documentElement.dataset.found = event.data;
});
</script></head><body><iframe src="%s" width="%d" height="900"
 style="border: 0"></iframe></body></html>"""
_PROBE = """
<script>
addEventListener("load", () => {
  const images = [...document.images];
  parent.postMessage(JSON.stringify({
    inner: innerWidth,
    scroll: document.documentElement.scrollWidth,
    images: images.length,
    broken: images.filter(i => !(i.complete && i.naturalWidth)).length,
    wide: [...document.querySelectorAll("main *")].filter(
      e => !e.closest(".scroll") &&
        e.getBoundingClientRect().right > innerWidth + 0.5
    ).map(e => e.tagName)
  }), "*");
});
</script>
"""


class Page(html.parser.HTMLParser):
    """Collects what the tests ask about; raises where tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.images, self.urls = [], [], [], []
        self.tags, self.words = set(), []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        assert len(named) == len(attrs), f"{tag}: an attribute twice"
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in named:
            self.ids.append(named["id"])
        if tag == "img":
            self.images.append(named)
        self.urls += [named[k] for k in ("src", "href") if k in named]

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> in the wrong place"

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)


def browse(text, folder, width):
    """Opens a page in Chromium; what its probe found, and the console."""
    page, frame = folder / "page.html", folder / f"frame{width}.html"
    page.write_text(text.replace("</head>", f"{_PROBE}</head>"), "utf-8")
    frame.write_text(_FRAME % (page.as_uri(), width), "utf-8")
    done = subprocess.run(
        [
            BROWSER,
            *("--headless", "--no-sandbox", "--disable-gpu"),
            *("--enable-logging=stderr", "--hide-scrollbars", "--dump-dom"),
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={max(width, 600)},900",
            frame.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    (found,) = re.findall(r'data-found="([^"]*)"', done.stdout)
    console = [x for x in done.stderr.splitlines() if "CONSOLE" in x]
    return json.loads(html.unescape(found)), console
