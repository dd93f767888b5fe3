"""The page in a browser: nothing is asked for, nothing goes wrong, nothing sticks out."""

from __future__ import annotations

import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


WIDER = """[...document.querySelectorAll('svg.plot, p, h1, h2, nav, .tiles')]
    .filter(element => element.getBoundingClientRect().right > innerWidth).length"""
HEIGHTS = """[...document.querySelectorAll('svg.plot text')].map(text => text.getBoundingClientRect())
    .map(box => Math.min(box.width, box.height)).filter(height => height > 0)"""
COLORS = """[getComputedStyle(document.querySelector('svg.plot')).color,
    getComputedStyle(document.querySelector('figure')).backgroundColor]"""


@pytest.fixture(scope="module")
def file(sheet, tmp_path_factory):
    return sheet.save(tmp_path_factory.mktemp("sheet") / "btc.html").path


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_it_opens_without_a_word_or_a_request_and_fits(browser, file, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    assert said == []
    assert asked == [file.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # what is wider than the screen scrolls in a frame of its own, and no picture is wider
    assert page.evaluate(WIDER) == 0
    page.close()


def test_type_in_pictures_can_be_read_on_a_phone(browser, file):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(file.as_uri())
    heights = page.evaluate(HEIGHTS)
    assert len(heights) > 100
    assert sorted(heights)[len(heights) // 2] >= 8
    page.close()


def test_dark_and_paper_have_ink_that_stands_out(browser, file):
    def ink(scheme: str, media: str) -> tuple[str, str]:
        page = browser.new_page(color_scheme=scheme)
        page.emulate_media(media=media, color_scheme=scheme)
        page.goto(file.as_uri())
        found = page.evaluate(COLORS)
        page.close()
        return tuple(found)

    assert ink("light", "screen") == ("rgb(27, 31, 36)", "rgb(255, 255, 255)")
    assert ink("dark", "screen") == ("rgb(230, 233, 236)", "rgb(23, 27, 32)")
    assert ink("dark", "print") == ("rgb(0, 0, 0)", "rgb(255, 255, 255)")


def test_no_picture_is_cut_on_paper(browser, file, tmp_path):
    page = browser.new_page()
    page.goto(file.as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('figure')).breakInside") == "avoid"
    printed = page.pdf(path=str(tmp_path / "sheet.pdf"), prefer_css_page_size=True)
    assert 4 <= printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") <= 12
    page.close()
