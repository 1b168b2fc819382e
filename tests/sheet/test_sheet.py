"""Contact sheets: what they show, read back from the page and the picture."""

from __future__ import annotations

import base64
import io
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from bridge.cli import segue
from engine.errors import BadArguments, NoFile, NoTake
from engine.take import Take
from engine.take.take import PRIME
from export.sheet.cards import BANDS, COLUMNS, cards_of, envelope_of, spectrum_of
from export.sheet.drawing import outline, palette, png
from export.sheet.making import make_sheet
from tests.projects.making import RATE, frames_of, make_take, riff, tone

HOSTILE = "</script><b>\"Löwe\" & 'ジ\u30e5'"


@pytest.fixture
def takes(tmp_path: Path) -> list[Take]:
    """Two takes of a prime, one that goes on from the first, one made finer, and one of another prime."""
    root = tmp_path / "takes #1%"
    one = make_take(root, prime=riff(8, 120), frames=frames_of(8, 120), bpm=120, seed=11, marks={"rating": 4})
    two = make_take(
        root, prime=riff(8, 120), frames=frames_of(8, 120), bpm=120, name=HOSTILE, marks={"kept": True}
    )
    three = make_take(root, after=one, frames=frames_of(8, 120), bpm=120)
    four = make_take(root, prime=tone(50_000, 90), frames=30_000, path="/riffs/rubato.wav")
    return [one, two, three, four]


class Page(HTMLParser):
    """Rows of a page with their attributes, sounds, images and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[dict[str, str]] = []
        self.sounds: list[str] = []
        self.images: list[bytes] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.links += [told[name] for name in ("src", "href") if name in told and tag != "img"]
        if tag == "li":
            self.rows.append(told)
        elif tag == "audio":
            self.sounds.append(told["src"])
        elif tag == "img":
            self.images.append(base64.b64decode(told["src"].removeprefix("data:image/png;base64,")))


def test_rows_lie_below_what_they_go_on_from(takes: list[Take]):
    seen: list[str] = []
    cards = cards_of(takes, seen.append)
    names = ["my riff_120bpm", "A01", "A03", HOSTILE, "rubato", "A04"]
    assert [card.name for card in cards] == names == seen
    assert [card.depth for card in cards] == [0, 1, 2, 1, 0, 1]
    assert cards[2].recipe == "any style, 120 bpm, seed 0, full, model starter, goes on from A01"
    assert cards[1].bars == pytest.approx((2.0,)) and cards[5].bars == ()
    assert [card.kept for card in cards] == [False, False, False, True, False, False]


def test_figures_of_a_sine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sine = (0.1 * np.sin(2 * np.pi * 997 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    monkeypatch.setattr("tests.projects.making.tone", lambda frames, hertz: sine[:frames])
    (card,) = cards_of([make_take(tmp_path, frames=sine.size)])
    # ITU-R BS.1770: a sine of 997 Hz at full scale in one channel is -3.01 LUFS; 20 dB below that here.
    assert dict(card.figures) == {"loudness": "-23.0 LUFS", "peak": "-20.0 dBFS", "crest": "3.0 dB"}
    assert card.spectrum is not None and card.envelope is not None
    loudest = card.spectrum[:, COLUMNS // 2].argmax()
    low, high = 2595 * np.log10(1 + 40 / 700), 2595 * np.log10(1 + 14_000 / 700)
    expected = (2595 * np.log10(1 + 997 / 700) - low) / (high - low) * (BANDS + 1) - 1
    assert abs(loudest - expected) <= 1
    assert card.envelope.min() == pytest.approx(-0.1, abs=1e-3)


def test_what_is_small_is_drawn_too():
    assert envelope_of(np.ones(10, np.float32)).shape == (COLUMNS, 2)
    assert spectrum_of(np.zeros(3000, np.float32), RATE).max() == 0
    ramp = envelope_of(np.linspace(-1, 1, 72_000, dtype=np.float32))
    assert ramp[0, 0] == -1 and ramp[-1, 1] == 1 and (np.diff(ramp[:, 0]) > 0).all()


def test_the_png_is_read_back_pixel_by_pixel():
    image = np.random.default_rng(1).integers(0, 256, (BANDS, COLUMNS), dtype=np.uint8)
    read = np.asarray(Image.open(io.BytesIO(png(image))).convert("RGB"))
    assert np.array_equal(read, palette()[image])
    brightness = palette().astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(brightness) > -0.5).all() and brightness[0] < 15 and brightness[-1] > 230


def test_an_outline_closes_and_stays_in_its_box():
    path = outline(envelope_of(tone(RATE, 100)), 46, 360)
    assert path.startswith("M0,") and path.endswith("Z")
    points = [tuple(map(float, point.split(","))) for point in path[1:-1].replace("L", "").split()]
    assert len(points) == 720
    assert all(0 <= x < 360 and 0 <= y <= 46 for x, y in points)


def test_the_page_links_to_the_sounds_and_holds_the_rest(takes: list[Take]):
    root = takes[0].folder.parent
    path = root.parent / "pages" / "sheet.html"
    cards = make_sheet(takes, path, HOSTILE)
    page = Page(path.read_text(encoding="utf-8"))
    assert [row["data-name"] for row in page.rows] == [card.name for card in cards]
    for link, card in zip(page.sounds, cards, strict=True):
        assert (path.parent / unquote(link)).resolve() == card.wav.resolve()
        assert not link.startswith(("/", "http", "file")) and "#" not in link and " " not in link
    assert page.links == page.sounds  # nothing else is fetched
    for data in page.images:
        assert Image.open(io.BytesIO(data)).size == (COLUMNS, BANDS)
    assert page.tags.count("script") == page.tags.count("style") == 1 and "b" not in page.tags
    assert [row["tabindex"] for row in page.rows] == ["0"] + ["-1"] * 5
    aloud = page.rows[1]["aria-label"]
    assert aloud.startswith("Take, generation 1, A01. rated 4 of 5. any style, 120 bpm, seed 11")
    assert "loudness" in aloud


def test_a_take_without_its_file_says_so(takes: list[Take], tmp_path: Path):
    takes[0].wav.unlink()
    (takes[3].folder / PRIME).unlink()
    cards = {card.name: card for card in cards_of(takes)}
    assert "there is no file" in cards["A01"].problem and "there is no file" in cards["rubato"].problem
    path = tmp_path / "sheet.html"
    make_sheet(takes, path, "x")
    page = Page(path.read_text(encoding="utf-8"))
    assert len(page.rows) == 6 and len(page.sounds) == 4
    assert "there is no file" in page.rows[1]["aria-label"]


def test_the_picture_shows_every_row(takes: list[Take], tmp_path: Path):
    pytest.importorskip("matplotlib", reason="needs matplotlib, of the extra 'train'")
    from export.sheet import picture as drawn

    path = tmp_path / "sheet.png"
    cards = make_sheet(takes, path, "A $title$")
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert pixels.shape[0] == drawn.HEAD + drawn.ROW * len(cards) + drawn.MARGIN
    for number, card in enumerate(cards):
        y, x = drawn.HEAD + drawn.ROW * number + 40, drawn.MARGIN + card.depth * drawn.INDENT + 2
        assert np.abs(pixels[y, x] - np.array(list(bytes.fromhex(card.color[1:])))).max() <= 2
        assert card.spectrum is not None
        top = drawn.HEAD + drawn.ROW * number + drawn.WAVE + drawn.GAP
        shown = pixels[top : top + BANDS, -drawn.MARGIN - COLUMNS : -drawn.MARGIN]
        assert np.abs(shown - palette()[card.spectrum[::-1]]).max() <= 2


def test_bad_wishes(takes: list[Take], tmp_path: Path):
    with pytest.raises(NoTake, match="there is no take to show; make one first"):
        make_sheet([], tmp_path / "sheet.html", "x")
    with pytest.raises(BadArguments, match=r"not 'sheet.pdf'; end its name in .html or .png"):
        make_sheet(takes, tmp_path / "sheet.pdf", "x")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NoFile, match="its folder is missing or is a file"):
        make_sheet(takes, tmp_path / "file" / "sheet.html", "x")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(segue, ["takes", "sheet", *arguments])


def test_the_command(takes: list[Take], tmp_path: Path):
    root = takes[0].folder.parent
    result = run("--root", str(root), "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["path"] == str(root / "sheet.html") and (root / "sheet.html").is_file()
    assert [row["name"] for row in told["rows"] if row["kind"] == "take"] == ["A01", "A03", HOSTILE, "A04"]
    kept = run("--root", str(root), "--kept", "--out", str(tmp_path / "kept.html"), "--title", "Mine")
    assert kept.stdout == f"{tmp_path / 'kept.html'}\n"
    assert len(Page((tmp_path / "kept.html").read_text(encoding="utf-8")).rows) == 2
    named = run("a03", "--root", str(root), "--json", "--out", str(tmp_path / "a03.html"))
    assert [row["name"] for row in json.loads(named.stdout)["rows"]] == ["my riff_120bpm", "A01", "A03"]


def test_the_command_without_takes(tmp_path: Path):
    result = run("--root", str(tmp_path))
    assert (result.exit_code, result.stderr) == (
        2,
        f"segue: there is no take with audio in '{tmp_path}'; make one first, or name another takes folder\n",
    )


def test_keys_in_a_browser(takes: list[Take], tmp_path: Path):
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install playwright)")
    browser_path = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser_path is None:
        pytest.skip("needs chromium")
    path = tmp_path / "sheet.html"
    make_sheet(takes, path, "x")
    switches = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=browser_path, args=switches)
        page = browser.new_page()
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(path.as_uri())
        said = page.locator("#said")
        page.keyboard.press("ArrowDown")
        page.keyboard.press(" ")
        api.expect(said).to_have_text("Playing A01")
        page.wait_for_function("document.querySelectorAll('audio')[1].currentTime > 0.1")
        page.keyboard.press("ArrowDown")
        api.expect(said).to_have_text("Playing A03")
        page.keyboard.press(" ")
        api.expect(said).to_have_text("Paused A03")
        page.keyboard.press("/")
        page.keyboard.type("seed 11")
        api.expect(said).to_have_text("1 of 6 shown")
        browser.close()
    assert wrong == []
