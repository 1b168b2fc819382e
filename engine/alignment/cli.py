"""``segue align``: when each word of a take is sung."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("take", type=click.Path(path_type=Path))
@click.option("--model", help="Model that made the take (default: the one its request names).")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write (default: the take's folder).")
@click.option("--plot/--no-plot", default=True, show_default=True, help="Draw the attention.")
@click.option("--json", "as_json", is_flag=True, help="Print the alignment as JSON.")
def align(take: Path, model: str | None, out: Path | None, plot: bool, as_json: bool) -> None:
    """Find when each word of TAKE is sung, from where its model listened in the lyrics.

    Writes alignment.json, alignment.lrc and alignment.png.
    """
    from engine.alignment.attention import take_attention
    from engine.alignment.files import describe, lrc_text, plot_alignment
    from engine.alignment.path import sung_characters
    from engine.audio.durable import write_durably
    from engine.store import load_model
    from engine.take import Take

    found_take = Take.load(take)
    name = model or found_take.info.head.request.model
    loaded = load_model(name, levels=[2])
    found = take_attention(loaded, found_take)
    lyrics = loaded.priors[2].config.lyrics
    assert lyrics is not None and lyrics.alignment is not None
    sung = sung_characters(found.lyrics.text, found.matrix, found.seconds)
    record = describe(found_take.info.head.name, name, lyrics.alignment, sung)
    folder = out or take
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
    write_durably(folder / "alignment.json", text.encode())
    write_durably(folder / "alignment.lrc", lrc_text(record.words).encode())
    if plot:
        plot_alignment(
            found, sung, folder / "alignment.png", f"{record.take}: where {name} listened in the lyrics"
        )
    if as_json:
        click.echo(text, nl=False)
        return
    for word in record.words:
        click.echo(f"{'    -   ' if word.seconds is None else f'{word.seconds:7.2f}s'}  {word.text}")
    click.echo(f"written to {folder}")
