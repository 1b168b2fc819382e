"""Commands in records name no folder of the machine they were given on."""

from __future__ import annotations

from engine.commandline import spoken


def test_paths_are_cut_to_their_last_part_and_words_stay_whole() -> None:
    words = [
        "segue",
        "eval",
        "/home/me/models/mine",
        "--style",
        "velvet tape",
        "--out",
        "../runs/one",
        "--primes",
        "4",
    ]
    assert spoken(words) == "segue eval mine --style 'velvet tape' --out one --primes 4"
