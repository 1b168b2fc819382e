"""``segue takes play``: a take, through the audio process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from bridge.cli.takes.common import meant, say_json, shelf_options, told
from engine.errors import NoDevice, NoFile
from engine.shelf.files import CONTINUATION


@click.command()
@click.argument("ident", metavar="ID")
@click.option("--device", default=None, help="Where to: part of a device's name, or file:PATH for a WAV.")
@shelf_options
def play(ident: str, device: str | None, root: Path | None, as_json: bool) -> None:
    """Play the take ID to its end; Ctrl-C stops it."""
    index, entry = meant(root, ident, trashed=None)
    wav = index.root / entry.place / CONTINUATION
    if not wav.is_file():
        raise NoFile(f"the take {entry.name} has no sound: '{wav}' is missing")
    if not as_json:
        click.echo(f"{entry.number}  {entry.name}  {entry.listed.seconds:.2f} s", err=True)
    frames, where = asyncio.run(_play(wav, device))
    if as_json:
        say_json({"played": told(index, entry), "device": where, "frames": frames})


async def _play(wav: Path, device: str | None) -> tuple[int, str]:
    """Plays the file; (its frames that were heard, the device). Raises NoDevice where there is none."""
    from bridge.audio.protocol import Finished, Lost
    from bridge.audio.supervisor import AudioClient

    client = AudioClient()
    await client.start()
    try:
        opened = await client.open(device)
        await client.play(file=wav)
        while True:
            report = await client.reports.get()
            if isinstance(report, Finished):
                return report.frames, opened.device
            if isinstance(report, Lost):
                raise NoDevice(
                    f"the sound device is gone ({report.reason}); play the take again when it is back"
                )
    finally:
        await client.close()
