"""Doing it: codec, codes, priors, model folder. Every stage goes on where it was stopped or killed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch

from engine.codec.vqvae import CodecLevel
from engine.errors import BadFormat, TooShort, TrainingError
from engine.lyrics import Words, song_lyrics
from engine.prior.config import PriorConfig
from engine.store import ModelConfig, load_model
from engine.training.cache import AudioCache
from engine.training.checkpoint import load_state
from engine.training.codec_trainer import DEFAULT_CROPS, train_level, write_codec
from engine.training.codes import CodeStore, encode_corpus
from engine.training.export import export_model
from engine.training.files import write_json
from engine.training.loop import LoopSettings, make_accelerator
from engine.training.metrics import Display
from engine.training.own.card import write_card
from engine.training.own.plan import LEAST_SECONDS, Stage, Wish, stages
from engine.training.precision import fast_precision
from engine.training.prior_cli import lyrics_for, pulses_for
from engine.training.prior_trainer import train_prior
from engine.training.record import require_agreement
from engine.training.starting import starting_prior

PLAN_FILE = "plan.json"
Precision = Literal["no", "bf16"]


class Own:
    """One training of a model of one's own in the folder ``work``.

    ``data``: the loops; ``audio``: the same, decoded; ``device``: "cpu" or "cuda"; ``origin``: as in train_prior.
    """

    def __init__(
        self,
        wish: Wish,
        data: Path,
        audio: AudioCache,
        work: Path,
        device: Literal["cpu", "cuda"],
        threads: int | None,
        origin: dict[str, str],
        show: bool = True,
    ) -> None:
        self.wish, self.data, self.audio, self.work = wish, data, audio, work
        self.device, self.threads, self.origin, self.show = device, threads, origin, show
        self.precision: Precision = fast_precision(device)
        self.base = load_model(wish.base)
        _require_enough(audio)
        if self.base.config.vocabularies:
            raise TrainingError(
                f"'{wish.base}' has the lists of artists and genres that it was released with, which cannot be added "
                "to; begin with the starter or with a model of your own"
            )

    @property
    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Artists and genres of the new model: those of the loops and, unless it is fresh, of the base."""
        songs = self.audio.songs("train")
        artists = {song.artist for song in songs}
        genres = {genre for song in songs for genre in song.genres}
        if not self.wish.fresh:
            artists |= {*self.base.config.artists}
            genres |= {*self.base.config.genres}
        return (
            ("unknown", *sorted(artists - {"unknown"})),
            ("unknown", *sorted(genres - {"unknown"})),
        )

    def config(self, level: int) -> PriorConfig:
        """Shape of the prior of a level: the base's, with the new model's labels."""
        artists, genres = self.names
        shape = self.base.config.priors[level].model_dump()
        return PriorConfig.model_validate({**shape, "artists": len(artists), "genres": len(genres)})

    def spent(self) -> dict[str, tuple[int, float]]:
        """Steps and seconds that every stage has had so far, by name; "encoding" is there when it is done."""
        found = {"encoding": (0, 0.0)} if (self.work / "codes" / "level_0.npy").is_file() else {}
        for stage in stages(self.wish):
            state = load_state(self._folder(stage))
            if state is not None:
                found[stage.name] = (state["step"], state["seconds"])
        return found

    def begin(self) -> None:
        """Note the plan, or make sure that what lies in ``work`` came from the same one; more time may be given.

        Raises TrainingError naming what differs.
        """
        decided = self.wish.model_dump(mode="json", exclude={"minutes", "steps"})
        now = {**decided, "base": self.base.hash, "audio": self.audio.fingerprint}
        path = self.work / PLAN_FILE
        if path.is_file():
            before = _noted(path)
            if before.get("audio") != now["audio"]:
                raise TrainingError(
                    f"the audio in '{self.data}' is not what the training of '{self.wish.name}' began with; choose "
                    "another --name, put the files back, or begin anew with --again"
                )
            require_agreement(self.work, now, before)
        write_json(path, now)

    def train(self, told: Callable[[dict[str, Any]], None]) -> int:
        """All stages; ``told`` is given the summary of each. Returns the signal that stopped it, or 0."""
        for stage in stages(self.wish):
            if stage.kind == "prior" and stage.level == 2:
                self._make_codec()
            summary = self._train(stage)
            if summary is not None:
                told(summary)
                if summary["signal"]:
                    return int(summary["signal"])
        return 0

    def export(self, folder: Path) -> ModelConfig:
        """Write the model folder with its card; what was there before is replaced when the new one is whole."""
        part = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        runs = [self._folder(stage) for stage in stages(self.wish) if stage.kind == "prior"]
        config = export_model(self.work / "codec", runs, part, self.wish.name)
        write_card(part, config, self.wish, self.audio)
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
        return config

    def _folder(self, stage: Stage) -> Path:
        if stage.kind == "codec":
            return self.work / "codec" / f"level_{stage.level}"
        return self.work / f"prior_{stage.level}"

    def _train(self, stage: Stage) -> dict[str, Any] | None:
        state = load_state(self._folder(stage))
        if state is not None and state["finished"] and _used_up(stage, state):
            return None
        settings = LoopSettings.model_validate(
            {
                "minutes": stage.minutes,
                "steps": stage.steps,
                "batch": self.wish.batch,
                "lr": self.wish.rate,
                "warmup": 20,
                "decay": "cosine" if stage.kind == "codec" else "linear",
                "seed": self.wish.seed,
                "precision": "no" if stage.kind == "codec" else self.precision,
                "device": self.device,
                "threads": self.threads,
            }
        )
        return (self._train_codec if stage.kind == "codec" else self._train_prior)(stage, settings)

    def _train_codec(self, stage: Stage, settings: LoopSettings) -> dict[str, Any]:
        start = self.base.codec.levels[stage.level]
        assert isinstance(start, CodecLevel)
        return train_level(
            stage.level,
            self.base.config.codec,
            self.audio,
            settings,
            DEFAULT_CROPS[stage.level],
            self.work / "codec",
            make_accelerator(settings),
            plots=False,
            show=self.show,
            origin=self.origin,
            start=start,
        )

    def _train_prior(self, stage: Stage, settings: LoopSettings) -> dict[str, Any]:
        accelerator = make_accelerator(settings)
        store = self._codes(stage.level)
        start = None if self.wish.fresh else starting_prior(self.wish.base, stage.level, store)
        config = self.config(stage.level)
        return train_prior(
            config,
            store,
            settings,
            self._folder(stage),
            accelerator,
            plots=False,
            show=self.show,
            origin=self.origin,
            start=start,
            lyrics=self._lyrics(store, config),
            pulses=pulses_for(self.data, store, config),
        )

    def _make_codec(self) -> None:
        """The codec that the priors are trained on: the base's, or the one that was trained further."""
        from engine.training.codec_trainer import assemble

        run = self.work / "codec"
        if self.wish.codec == "tune":
            assemble(run)
        elif not (run / "codec.safetensors").is_file():
            write_codec(run, self.base.codec, dict(self.base.config.training.get("codec", {})))

    def _codes(self, level: int) -> CodeStore:
        levels = (level,) if level == 2 else (level, level + 1)
        with Display("encoding", self.show) as display:
            store = encode_corpus(
                self.audio,
                self.work / "cache",
                self.work / "codec",
                self.work / "codes",
                levels,
                1,
                self.device,
                lambda done, total: display.show(done / total, f"{done}/{total} files"),
            )
        return CodeStore(store.folder, store.index, known=self.names)

    def _lyrics(self, store: CodeStore, config: PriorConfig) -> Any:
        """The lyrics that lie beside the loops; where there are none, a prior that reads them is given silence."""
        if config.lyrics is None:
            return None
        try:
            return lyrics_for(self.data, store, config)
        except TrainingError:
            silent = song_lyrics(Words(), config.lyrics, store.index.rate)
            return {song.name: silent for song in store.index.songs}


def _require_enough(audio: AudioCache) -> None:
    seconds = audio.seconds("train")
    if seconds < LEAST_SECONDS:
        raise TooShort(
            f"there are {seconds:.1f} s of audio to train on and at least {LEAST_SECONDS:.0f} s are needed; "
            "put more files there, the more the better"
        )


def _used_up(stage: Stage, state: dict[str, Any]) -> bool:
    by_steps = stage.steps is not None and state["step"] >= stage.steps
    return by_steps or (stage.minutes is not None and state["seconds"] >= stage.minutes * 60)


def _noted(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except ValueError as error:
        raise BadFormat(f"'{path}' cannot be read ({error}); begin anew with --again") from error


def device_of(name: str) -> Literal["cpu", "cuda"]:
    """Where to train, for ``auto``, ``cpu`` or ``cuda``."""
    return "cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu"
