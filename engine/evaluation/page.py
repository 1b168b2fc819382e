"""A page to listen: every continuation with its players, its picture and what was measured. No network, no scripts.

The folder is whole by itself: it opens from disk and can be sent on as it is.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from html import escape
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from engine.audio.durable import write_durably, writing
from engine.evaluation.continuations import Judged, PrimeRow, System
from engine.evaluation.pictures import caption, draw_one
from engine.evaluation.run import Evaluation
from engine.evaluation.tables import Sheet, headline, sheets

PLAYED: tuple[System, ...] = ("model", "codec", "real")
WORDS: dict[System, str] = {
    "model": "the model",
    "codec": "the song itself, through the codec",
    "real": "the song itself",
    "shuffled": "another song",
    "noise": "noise",
}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #23303b; background: #fbfaf7; margin: 2rem auto; max-width: 64rem;
  padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
caption { text-align: left; font-weight: 600; padding: 0.4rem 0; }
th, td { padding: 0.25rem 0.7rem; text-align: right; border-bottom: 1px solid #dcd8cf; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
article { border-top: 2px solid #00c2a8; margin-top: 2rem; }
audio { width: 100%; }
img { max-width: 100%; }
figure { margin: 0.6rem 0; }
.weak { color: #d1495b; }
"""


def write_page(evaluation: Evaluation, folder: Path) -> Path:
    """Writes ``index.html`` with ``audio`` and ``pictures`` beside it into ``folder``, the weakest continuation first;
    gives the page's path back. Raises DiskFull, PathNotAllowed or NoFile where that fails."""
    with writing(folder):
        for name in ("audio", "pictures"):
            (folder / name).mkdir(parents=True, exist_ok=True)
    continued = evaluation.report.continuations
    rows = continued.primes if continued is not None else ()
    ranked = sorted(range(len(rows)), key=lambda place: -(rows[place].weakness or 0.0))
    articles = [
        "\n".join(_article(evaluation.judged[place], rows[place], evaluation.rate, folder, place))
        for place in ranked
    ]
    path = folder / "index.html"
    write_durably(path, "\n".join(_page(evaluation, articles)).encode())
    return path


def _page(evaluation: Evaluation, articles: list[str]) -> Iterator[str]:
    report = evaluation.report
    title = f"segue eval: {report.model.name}"
    yield f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    yield f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
    yield f"<h1>{escape(title)}</h1><p>{escape(headline(report))}.</p>"
    made = report.provenance
    yield f"<p><code>{escape(made.command)}</code>, {escape(made.time)}, {escape(str(made.machine))}</p>"
    for note in report.notes:
        yield f"<p>Note: {escape(note)}.</p>"
    for sheet in sheets(report):
        yield _table(sheet)
    yield "<h2>Continuations, the weakest first</h2>"
    yield "<p>Each player begins with the prime; what follows the seam is by whom it says.</p>"
    yield from articles
    yield "</body></html>"


def _table(sheet: Sheet) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in sheet.headings)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in sheet.rows
    )
    return f"<table><caption>{escape(sheet.title)}</caption><tr>{head}</tr>{rows}</table>"


def _article(one: Judged, row: PrimeRow, rate: int, folder: Path, number: int) -> Iterator[str]:
    seam = one.pair.prime.size / rate
    yield f"<article><h3>{number + 1}. {escape(row.song)} ({escape(', '.join(row.genres))})</h3>"
    missed = f"misses {100 * (row.weakness or 0.0):.0f} % of what is measured"
    yield f'<p class="weak">{missed}; seam at {seam:.1f} s; seed {row.seed}</p>'
    played = [name for name in (PLAYED if number else (*PLAYED, "shuffled", "noise")) if name in one.audio]
    for name in played:
        file = f"audio/{number + 1:03d}-{name}.flac"
        joined = np.concatenate([one.pair.prime, one.audio[name]])
        write_durably(folder / file, _flac(joined, rate))
        said = f"{WORDS[name]}: {caption(row, name)}"
        player = f'<audio controls preload="none" src="{file}"></audio>'
        yield f"<figure><figcaption>{escape(said)}</figcaption>{player}</figure>"
    picture = f"pictures/{number + 1:03d}.png"
    draw_one(one, row, rate, folder / picture, f"{number + 1}")
    yield f'<img src="{picture}" loading="lazy" alt="spectrogram of prime and continuation"></article>'


def _flac(samples: NDArray[np.float32], rate: int) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, np.clip(samples, -1.0, 1.0), rate, format="FLAC", subtype="PCM_16")
    return content.getvalue()
