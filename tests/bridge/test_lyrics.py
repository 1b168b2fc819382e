"""Words over OSC, and styles of a model with the released genre words: the mock engine, then a real tiny one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bridge.supervision.engine_client import EngineSetup
from engine.codec.config import CodecConfig
from engine.codec.vqvae import Codec
from engine.prior.config import LyricsConfig
from engine.prior.prior import Prior
from engine.prior.vocabulary import LabelVocabulary
from engine.store import ModelConfig, save_model
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import StartSession, wait_idle
from tests.host.tiny import write_riff
from tests.prior.build import prior_config


def test_words_are_set_line_by_line_read_and_cleared(ready: OscClient) -> None:
    assert ready.ask("/segue/lyrics") == ("",)
    ready.send("/segue/notify", 1)
    ready.wait("/segue/lyrics", "")
    ready.send("/segue/lyrics", "one\ntwo")
    assert ready.wait("/segue/lyrics", "one\ntwo")
    assert ready.wait("/segue/error") == ("the model 'mock' reads no lyrics; the take is made without them",)
    ready.send("/segue/lyrics/line", 4, "four")
    assert ready.wait("/segue/lyrics", "one\ntwo\n\nfour")
    ready.send("/segue/lyrics/line", 1, "uno\ndue")
    assert ready.wait("/segue/lyrics", "uno due\ntwo\n\nfour")
    ready.send("/segue/lyrics/clear")
    assert ready.wait("/segue/lyrics", "")


def test_words_beyond_a_song_are_refused(ready: OscClient) -> None:
    for line in range(1, 6):
        ready.send("/segue/lyrics/line", line, "x" * 4090)
    _, code, slug, message = ready.wait("/segue/fail", "/segue/lyrics/line")
    assert (code, slug, message) == (
        422,
        "out_of_range",
        "the lyrics have 20454 characters; at most 20000 are sung",
    )
    assert ready.ask("/segue/lyrics")[0].endswith("x\u2026")  # answers are cut to what a packet holds
    ready.send("/segue/lyrics/line", 5, "x")  # the four lines before are still there: one character fits
    ready.send("/segue/lyrics/line", 6, "x" * 4000)
    assert ready.wait("/segue/fail", "/segue/lyrics/line")[3].startswith("the lyrics have 20366 characters")
    assert "from 1 to 1000, not 0" in ready.ask("/segue/lyrics/line", 0, "x", reply="/segue/fail")[3]


def singer(folder: Path) -> Path:
    """A random model with v2 labels whose top level has the words in one sequence with the music."""
    torch.manual_seed(0)
    names = LabelVocabulary.released(
        "v2", {"unknown": 0, "ada": 1}, {"unknown": 0, "country": 1, "rock": 2}, (3, 4)
    )
    lyrics = LyricsConfig(tokens=16, vocabulary="v3")
    shape = {"label_version": "v2", "attention_order": 12}
    config = ModelConfig(
        name="singer",
        codec=CodecConfig(width=8, depth=2, embed_width=8, bins=16),
        priors=tuple(
            prior_config(level, **shape, **({"lyrics": lyrics} if level == 2 else {})) for level in range(3)
        ),
        vocabularies={"v2": names},
    )
    codec = Codec(config.codec)
    for level in codec.levels:
        level.bottleneck.codebook.normal_()
    save_model(folder, config, codec, {level: Prior(prior) for level, prior in enumerate(config.priors)})
    return folder


@pytest.mark.slow
def test_words_and_genres_of_several_words_reach_the_take(
    start_session: StartSession, tmp_path: Path
) -> None:
    model = singer(tmp_path / "singer")
    running = start_session(setup={"engine": EngineSetup(model=str(model))})
    client = running.client()
    wait_idle(client, timeout=60)
    client.send("/segue/notify", 1)
    prime(client, write_riff(tmp_path / "riff.wav"))
    assert client.ask("/segue/style", "Country Rock")[0] == "Country Rock"
    assert client.ask("/segue/style", "country zydeco", reply="/segue/fail")[2] == "no_style"
    client.send("/segue/lyrics", "\u00d3 la la")
    assert (
        client.wait("/segue/error")[0] == "1 character of the lyrics was spelt in Latin letters (\u00d3 as O)"
    )
    client.send("/segue/param/fidelity", "draft")
    client.send("/segue/generate", 0.5)
    path = client.wait("/segue/take", timeout=60)[8]
    record = json.loads((Path(path).parent / "request.json").read_text())
    request = record.get("request", record)
    assert request["lyrics"] == "\u00d3 la la" and request["style"]["genres"] == {"Country Rock": 1.0}
