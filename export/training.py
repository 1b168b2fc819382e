"""``segue train``, with the command that makes a model of one's own from start to end, graphs included."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import click

from engine.training.cli import train


@train.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the new model, for --model.")
@click.option(
    "--from", "base", default="starter", show_default=True, help="Model to begin with: a name or a folder."
)
@click.option("--fresh", is_flag=True, help="Take over only its codec and its shapes; learn all else anew.")
@click.option(
    "--codec",
    type=click.Choice(["reuse", "tune"]),
    default="reuse",
    show_default=True,
    help="Use the codec as it is, or train it further on your audio first.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Time to train, all resumes together. [default: 60, unless --steps is given]",
)
@click.option("--steps", type=click.IntRange(min=1), help="Steps of every part.")
@click.option("--batch", type=click.IntRange(min=1), default=4, show_default=True, help="Windows a step.")
@click.option("--lr", type=click.FloatRange(min=0, min_open=True), help="Peak learning rate.")
@click.option("--seed", type=click.IntRange(min=0, max=2**31 - 1), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--work", type=click.Path(path_type=Path), help="Working folder (default: beside the models).")
@click.option("--dry-run", is_flag=True, help="Only say what it would take.")
@click.option("--again", is_flag=True, help="Forget what was trained under this name so far.")
@click.option("--onnx/--no-onnx", "graphs", default=True, show_default=True, help="Write graphs as well.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
def own(
    folder: Path,
    name: str,
    work: Path | None,
    threads: int | None,
    device: str,
    dry_run: bool,
    again: bool,
    graphs: bool,
    as_json: bool,
    **wishes: Any,
) -> None:
    """Train a model of your own on FOLDER, loops or stems, and file it under NAME.

    Folders below FOLDER name the genre, and folders in those the artist; files that lie in no other folder have
    no genre, and the artist is NAME. The same command goes on with a training that was stopped or killed.
    """
    import torch

    from engine.store.home import models_home
    from engine.training.data import label_name
    from engine.training.guard import locked
    from engine.training.options import open_audio, origin_of
    from engine.training.own.estimate import disk_needed, estimate, require_room
    from engine.training.own.plan import Wish
    from engine.training.own.stages import PLAN_FILE, Own, device_of

    if wishes["minutes"] is None and wishes["steps"] is None:
        wishes["minutes"] = 60.0
    wish = Wish.model_validate({"name": name, **wishes})
    work = work or models_home() / ".training" / name
    target = _target(name, work / PLAN_FILE)
    if threads:
        torch.set_num_threads(threads)
    with locked(work):
        if again:
            _forget(work)
        rate = _rate(wish.base)
        audio = open_audio(folder, work / "cache", rate, artist=label_name(name))
        mine = Own(wish, folder, audio, work, device_of(device), threads, origin_of(folder), show=not as_json)
        configs = {level: mine.config(level) for level in range(3)}
        needed = disk_needed(wish, configs, audio)
        require_room(work, needed, _size(work), work)
        found = estimate(
            wish, mine.base, configs, audio, torch.device(mine.device), mine.precision, mine.spent()
        )
        if not as_json:
            _show(found, wish, work)
        told: dict[str, Any] = {"estimate": {**found.model_dump(), "seconds": found.seconds}, "runs": []}
        if dry_run:
            if as_json:
                click.echo(json.dumps(told, indent=1))
            return
        mine.begin()
        stopped = mine.train(told["runs"].append)
        if not stopped:
            mine.export(target)
            told["model"] = str(target)
            told["graphs"] = write_graphs(target) if graphs else None
    if as_json:
        click.echo(json.dumps(told, indent=1))
    if stopped:
        click.echo("stopped; the same command goes on from here", err=True)
        raise SystemExit(128 + stopped)
    if not as_json:
        click.echo(f"model: {target}\nplay it with: segue serve --model {name}")
        click.echo(
            f"its card: {target / 'README.md'}; what it was made from: {work} ({_size(work) / 1e6:.0f} MB)"
        )


def write_graphs(model: Path) -> list[str] | None:
    """Write a model's ONNX graphs beside it and settle in which precision each level runs; None without the extra."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        return None
    from rich.console import Console
    from rich.progress import Progress

    from export.onnx.check import check_model, require_equal, settle
    from export.onnx.model import export_model

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("writing graphs", total=None)
        export_model(model, lambda file: progress.update(task, description=f"writing {file}"))
        progress.update(task, description="comparing graphs with torch")
        checks = list(check_model(model, 200, lambda done: None))
    precisions = settle(model, checks)
    require_equal(checks)
    return [str(precision) for precision in precisions]


def _rate(base: str) -> int:
    from engine.store import model_folder, read_config

    return read_config(model_folder(base)).rate


def _target(name: str, plan: Path) -> Path:
    """Where the model goes: a new folder, or the one that this training wrote before."""
    from engine.store.home import models_home, new_model_folder

    folder = models_home() / name
    return folder if plan.is_file() and folder.is_dir() else new_model_folder(name)


def _forget(work: Path) -> None:
    for path in work.iterdir():
        if path.name in ("cache", "run.lock"):
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _show(found: Any, wish: Any, work: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"'{wish.name}' will take about {_words(found.seconds)}")
    for heading in ("part", "time", "steps", "a step"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for stage in found.stages:
        step = "" if stage.step_seconds is None else f"{stage.step_seconds:.2f} s"
        table.add_row(
            stage.name, _words(stage.seconds), "" if stage.steps is None else f"{stage.steps:,}", step
        )
    console = Console(stderr=True, width=100)
    console.print(table)
    kind = "memory of the card" if found.device == "cuda" else "memory"
    console.print(
        f"{found.memory / 1e9:.1f} GB of {kind}, {found.disk / 1e9:.2f} GB on the disk of {work}; measured here, "
        "now; writing the model comes on top, a minute or two",
        highlight=False,
    )


def _words(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
