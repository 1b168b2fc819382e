"""Makes the shipped riff anew: four bars out of a song of the corpus that no model is trained on.

usage: .venv/bin/python scripts/make_riff.py [--out FOLDER]

Writes ``<name>_<bpm>bpm.flac`` (mono, 44.1 kHz, 16 bit) and beside it a ``.json`` that says where it is from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import soundfile

from engine.corpus.dataset import CORPUS_VERSION, slots
from engine.corpus.render import render_score
from engine.corpus.song import score_of, to_pcm
from engine.corpus.theory import NOTE_NAMES
from engine.corpus.voices.signal import SAMPLE_RATE
from engine.request import frames_of_bars

# A seed of its own: training uses others. The song was chosen by its score (house, a full chorus).
SEED, INDEX, SECTION, BARS, NAME = 20261120, 67, "chorus", 4, "ladder-up"
FADE_IN_SECONDS = 0.003


def main() -> None:
    """Render the song, cut the bars, write audio and provenance."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).resolve().parents[1] / "presets" / "riffs"
    parser.add_argument("--out", type=Path, default=default)
    out: Path = parser.parse_args().out

    slot = slots(SEED, INDEX + 1)[INDEX]
    score = score_of(slot, SEED)
    section = next(part for part in score.sections if part.name == SECTION)
    start = frames_of_bars(section.start_bar, score.bpm, SAMPLE_RATE)
    count = frames_of_bars(BARS, score.bpm, SAMPLE_RATE)
    riff = render_score(score)[start : start + count].astype(np.float32)
    # The cut lies on a bar line, inside a ringing song: without this the file would begin with a click. The
    # end is left as it is, because that is where the continuation goes on.
    fade = round(FADE_IN_SECONDS * SAMPLE_RATE)
    riff[:fade] *= np.linspace(0.0, 1.0, fade, dtype=np.float32)

    out.mkdir(parents=True, exist_ok=True)
    audio = out / f"{NAME}_{score.bpm:g}bpm.flac"
    pcm = to_pcm(riff)
    soundfile.write(audio, pcm, SAMPLE_RATE, subtype="PCM_16")
    provenance = {
        "made_by": "scripts/make_riff.py, with the synthesiser of engine.corpus",
        "licence": "MIT, as all of Segue",
        "corpus_version": CORPUS_VERSION,
        "seed": SEED,
        "index": INDEX,
        "split": slot.split,
        "genre": score.genre,
        "artist": score.artist,
        "bpm": score.bpm,
        "key": f"{NOTE_NAMES[score.tonic]} {score.mode}",
        "section": SECTION,
        "start_bar": section.start_bar,
        "bars": BARS,
        "frames": count,
        "sample_rate": SAMPLE_RATE,
        "sha256_of_pcm": hashlib.sha256(pcm.tobytes()).hexdigest(),
    }
    audio.with_suffix(".json").write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")
    print(f"{audio}: {count / SAMPLE_RATE:.2f} s, {audio.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
