from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.analysis.spectrogram import Picture, plot_contact_sheet, plot_continuation
from engine.analysis.spectrum import mel_bank, mel_spectrogram
from engine.errors import OutOfRange, TooShort

from .synth import RATE, drum_loop, sine

pytest.importorskip("matplotlib")


def _pixels(path: Path) -> np.ndarray:
    from matplotlib.image import imread

    return imread(path)


def test_a_picture_shows_the_seam_where_prime_and_continuation_meet(tmp_path: Path) -> None:
    path = plot_continuation(drum_loop(120, 2.0), sine(440, 6.0), RATE, tmp_path / "a" / "p.png", "riff")
    image = _pixels(path)
    assert image.shape[0] > 300 and image.shape[1] > 800
    seam = np.all(np.abs(image[..., :3] - np.array([0.0, 0.761, 0.659])) < 0.15, axis=-1).sum(axis=0)
    ink = np.ptp(image[..., :3], axis=-1).max(axis=0) > 0.3  # columns of the coloured plot area
    left, column = int(np.argmax(ink)), int(np.argmax(seam))
    assert seam[column] > 200
    # 2 of 8 seconds into the plot area, which ends at the colour bar, some 8 % before the right edge.
    assert 0.2 < (column - left) / (0.9 * image.shape[1] - left) < 0.3


def test_contact_sheet_grows_with_the_number_of_pictures(tmp_path: Path) -> None:
    pieces = [Picture(f"take {i}", sine(220.0 * (i + 1), 1.0), 0.5) for i in range(5)]
    large = _pixels(plot_contact_sheet(pieces, RATE, tmp_path / "l.png", "five", columns=2))
    small = _pixels(plot_contact_sheet(pieces[:2], RATE, tmp_path / "s.png", "two", columns=2))
    assert large.shape[1] == small.shape[1] and large.shape[0] > 2 * small.shape[0]
    with pytest.raises(OutOfRange, match=r"^a contact sheet needs at least one piece of audio, not none$"):
        plot_contact_sheet([], RATE, tmp_path / "n.png", "none")


def test_nothing_cannot_be_drawn(tmp_path: Path) -> None:
    message = r"^a picture of the continuation needs at least 0\.1 s of audio, not 0\.00 s$"
    with pytest.raises(TooShort, match=message):
        plot_continuation(sine(440, 1.0), np.zeros(0, np.float32), RATE, tmp_path / "x.png", "empty")


def test_a_sine_lights_the_band_around_its_frequency() -> None:
    mel = mel_spectrogram(sine(1000.0, 1.0), RATE, 2048, 512, 64, 30.0, 16000.0)
    # 1000 Hz is 1000 mel by definition of that scale; 30 Hz is 46.2 and 16 kHz is 3564.
    expected = (999.99 - 46.2) / (3564.3 - 46.2) * 65 - 1
    assert abs(int(mel[:, 40].argmax()) - expected) <= 1
    assert mel_bank(RATE, 2048, 64, 30.0, 16000.0).sum(axis=1) == pytest.approx(np.ones(64), abs=1e-5)
