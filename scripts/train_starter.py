"""Train a whole starter model within a time budget, on a machine that may be had for minutes only.

usage: scripts/train_starter CORPUS --out RUNS --budget-minutes N [--device auto|cuda|cpu]
           [--songs N --seed S]   make the corpus first, with all cores, as far as it is not there
           [--lyrics N]           characters of lyrics that the top prior is taught to read at last; 0: none
           [--from MODEL]         begin with the priors of a model or of earlier runs' folder, not from nothing
           [--until STAGE]        stop after this stage: the rest can be done on another machine
           [--compile] [--rehearse]

Stages, in order: corpus, codec, encode, priors, lyrics, export, graphs, figures. The three levels of the codec are
trained at the same time, and so are the three priors, each in a process of its own: they need nothing of each other,
and one alone leaves a large card idle. What is left of the budget is shared out anew at the start of every stage. A
stage that is done is passed over, and one that was stopped or killed goes on, when the same command is given again;
the budget counts over all of them. When it is used up, whatever trains is told to stop, and saves what it has.

On a card: large batches, bf16, audio and codes kept there or copied ahead. Nothing is fetched from a network. With
``--rehearse`` every stage runs with tiny networks for two steps, to see that all of it works on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

STAGES = ("corpus", "codec", "encode", "priors", "lyrics", "export", "graphs", "figures")
# Of the time: what a stage would get of the whole budget. Encoding, export, graphs and figures end by themselves.
SHARES = {
    "corpus": 0.1, "codec": 0.35, "encode": 0.05, "priors": 0.4, "lyrics": 0.1,
    "export": 0.01, "graphs": 0.05, "figures": 0.05,
}  # fmt: skip
TIMED = ("codec", "priors", "lyrics")
STARTING_SECONDS = 20.0  # of a stage, in which its processes load what they need and end
# Items a step and samples a crop, by level from the bottom up.
CODEC_ON_CARD = ((64, 16384), (48, 32768), (32, 65536))
PRIOR_ON_CARD = (96, 64, 48)
LYRICS_ON_CARD = 32
GUIDED = "0.3"  # weight of leading the attention to the character that is sung
GRACE_SECONDS = 60.0  # for a stopped process to save


class Run:
    """One training of a starter: what was asked for, and what is done so far (``RUNS/stages.json``)."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked, self.out = asked, Path(asked.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.file = self.out / "stages.json"
        self.state: dict[str, Any] = {"seconds": 0.0, "minutes": {}, "done": []}
        if self.file.is_file():
            self.state = json.loads(self.file.read_text())
        self.before, self.started = float(self.state["seconds"]), time.monotonic()
        self.stopped = 0
        self.children: list[subprocess.Popen[bytes]] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    @property
    def used(self) -> float:
        """Seconds used so far, over all calls."""
        return self.before + time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds left of the budget."""
        return float(self.asked.budget_minutes) * 60 - self.used

    def minutes(self, stage: str) -> float:
        """What a timed stage may train, decided when it begins: its share of what is left then."""
        if stage not in self.state["minutes"]:
            later = [name for name in self.wanted() if STAGES.index(name) >= STAGES.index(stage)]
            part = SHARES[stage] / sum(SHARES[name] for name in later)
            self.state["minutes"][stage] = max(0.1, (self.left * part - STARTING_SECONDS) / 60)
            self.save()
        return float(self.state["minutes"][stage])

    def wanted(self) -> list[str]:
        """The stages up to ``--until``."""
        return list(STAGES[: STAGES.index(self.asked.until) + 1])

    def save(self) -> None:
        """Note where it is, so that a kill loses nothing of it."""
        self.state["seconds"] = self.used
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(self.state, indent=1) + "\n")
        part.replace(self.file)

    def call(self, *commands: list[str]) -> bool:
        """Run ``segue`` commands side by side; whether all ended well. Told to stop when the budget is used up."""
        self.children = []
        for words in commands:
            print("segue", *words, flush=True)
            code = "import sys; sys.argv[0] = 'segue'; from bridge.cli import main; main()"
            environment = {**os.environ, **({} if on_card(self.asked) else {"OMP_NUM_THREADS": "1"})}
            self.children.append(subprocess.Popen([sys.executable, "-c", code, *words], env=environment))
        told = 0.0
        while any(child.poll() is None for child in self.children):
            time.sleep(0.2)
            if not told and (self.left <= 0 or self.stopped):
                self._end(signal.SIGTERM)
                told = time.monotonic()
            if told and time.monotonic() - told > GRACE_SECONDS:
                self._end(signal.SIGKILL)
        self.save()
        return all(child.returncode == 0 for child in self.children)

    def _end(self, number: int) -> None:
        for child in self.children:
            if child.poll() is None:
                child.send_signal(number)

    def _stop(self, number: int, frame: object) -> None:
        self.stopped = number


def on_card(asked: argparse.Namespace) -> bool:
    """Whether a card does the work."""
    if asked.device == "auto":
        import torch

        asked.device = "cuda" if torch.cuda.is_available() else "cpu"
    return asked.device == "cuda"


def budget(run: Run, stage: str, *, lanes: int = 1) -> list[str]:
    """Options that every training command of a stage shares; ``lanes`` of them run side by side."""
    asked, minutes = run.asked, run.minutes(stage)
    words = ["--minutes", f"{minutes:.2f}", "--device", asked.device, "--no-plots"]
    words += ["--evaluate-minutes", f"{max(0.5, minutes / 4):.2f}", "--checkpoint-minutes", "1"]
    # Another budget, device or batch than an earlier call's is meant.
    words += ["--resume", "always"]
    if asked.rehearse:
        words += ["--steps", "2", "--batch", "1"]
    if not on_card(asked):
        words += ["--threads", str(max(1, (os.cpu_count() or 1) // lanes))]
    if asked.compile:
        words += ["--compile"]
    return words


def corpus(run: Run) -> bool:
    """Make the corpus, where ``--songs`` asks for one."""
    if not run.asked.songs:
        return True
    words = ["corpus", "make", "--out", run.asked.corpus, "--songs", str(run.asked.songs)]
    minutes = max(0.2, run.left * SHARES["corpus"] / 60)
    return run.call([*words, "--seed", str(run.asked.seed), "--minutes", f"{minutes:.2f}"])


def codec(run: Run) -> bool:
    """Three levels at once."""
    commands = []
    for level in (0, 1, 2):
        words = ["train", "codec", run.asked.corpus, "--out", str(run.out / "codec"), "--levels", str(level)]
        words += budget(run, "codec", lanes=3)
        if run.asked.rehearse:
            words += ["--crop", "4096"]
        elif on_card(run.asked):
            batch, crop = CODEC_ON_CARD[level]
            words += ["--batch", str(batch), "--crop", str(crop), "--precision", "bf16"]
        commands.append(words)
    return run.call(*commands) and run.call(
        ["train", "codec", "--out", str(run.out / "codec"), "--assemble", "--levels", "0,1,2"]
    )


def encode(run: Run) -> bool:
    """The codes of the whole corpus."""
    jobs = "1" if on_card(run.asked) else str(os.cpu_count() or 1)
    words = ["train", "encode", run.asked.corpus, "--codec", str(run.out / "codec")]
    return run.call([*words, "--device", run.asked.device, "--jobs", jobs])


def prior(run: Run, level: int, out: Path, stage: str, lanes: int) -> list[str]:
    """The command of one prior."""
    words = ["train", "prior", run.asked.corpus, "--level", str(level), "--codec", str(run.out / "codec")]
    words += ["--out", str(out), *budget(run, stage, lanes=lanes)]
    if on_card(run.asked) and not run.asked.rehearse:
        batch = LYRICS_ON_CARD if stage == "lyrics" else PRIOR_ON_CARD[level]
        words += ["--batch", str(batch), "--precision", "bf16"]
    return words


def priors(run: Run) -> bool:
    """Three priors at once, the top one told the pulse."""
    commands = []
    for level in (0, 1, 2):
        words = prior(run, level, run.out / f"prior_{level}", "priors", 3)
        if run.asked.source:
            words += ["--from", run.asked.source]
        elif run.asked.rehearse:
            words += ["--width", "24", "--depth", "3", "--heads", "2"]
        commands.append([*words, *(["--pulse"] if level == 2 else [])])
    return run.call(*commands)


def lyrics(run: Run) -> bool:
    """The top prior is taught to read the lyrics beside the songs."""
    if not run.asked.lyrics:
        return True
    words = prior(run, 2, run.out / "sung", "lyrics", 1)
    source = ["--from", str(run.out / "prior_2"), "--pulse", "--lyrics", str(run.asked.lyrics)]
    source += ["--guided", GUIDED]
    return run.call([*words, *source])


def export(run: Run) -> bool:
    """Join the runs into a model folder."""
    top = run.out / ("sung" if run.asked.lyrics else "prior_2")
    runs = [
        word for path in (run.out / "prior_0", run.out / "prior_1", top) for word in ("--prior", str(path))
    ]
    words = ["train", "export", "--codec", str(run.out / "codec"), *runs, "--out", str(run.out / "model")]
    return run.call([*words, "--name", run.asked.name])


def graphs(run: Run) -> bool:
    """Graphs for ONNX Runtime, where what writes them is installed."""
    if not all(find_spec(package) for package in ("onnx", "onnxscript", "onnxruntime")):
        print(
            "graphs are left out: pip install onnx onnxscript onnxruntime, then segue export onnx", flush=True
        )
        return True
    tokens = ["--tokens", "20"] if run.asked.rehearse else []
    return run.call(["export", "onnx", str(run.out / "model"), *tokens])


def figures(run: Run) -> bool:
    """What held-out songs say of it."""
    words = ["eval", str(run.out / "model"), "--data", run.asked.corpus, "--out", str(run.out / "eval")]
    return run.call([*words, "--primes", str(run.asked.primes), "--device", run.asked.device])


def main() -> int:
    """Every stage that is not done, until the budget is used up."""
    parser = argparse.ArgumentParser(
        prog="scripts/train_starter", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("corpus")
    parser.add_argument("--out", required=True)
    parser.add_argument("--budget-minutes", type=float, required=True)
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    parser.add_argument("--songs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lyrics", type=int, default=0)
    parser.add_argument("--from", dest="source")
    parser.add_argument("--name", default="starter")
    parser.add_argument("--primes", type=int, default=12)
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rehearse", action="store_true")
    run = Run(parser.parse_args())
    doers: dict[str, Callable[[Run], bool]] = {
        "corpus": corpus, "codec": codec, "encode": encode, "priors": priors, "lyrics": lyrics,
        "export": export, "graphs": graphs, "figures": figures,
    }  # fmt: skip
    for stage in run.wanted():
        if stage in run.state["done"]:
            continue
        if run.left <= 0 or run.stopped:
            break
        begun = run.used
        well = doers[stage](run)
        print(f"{stage}: {(run.used - begun) / 60:.1f} min", flush=True)
        if not well:
            break
        run.state["done"].append(stage)
        run.save()
    run.save()
    missing = [stage for stage in run.wanted() if stage not in run.state["done"]]
    if missing:
        print(
            f"not done: {', '.join(missing)}; {run.used / 60:.1f} min used; the same command goes on",
            flush=True,
        )
        return 128 + run.stopped if run.stopped else 1
    print(f"done in {run.used / 60:.1f} min: {run.out}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
