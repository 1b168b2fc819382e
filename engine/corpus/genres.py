"""What makes a genre, as data: tempo, feel, harmony, grooves, patterns, layers.

A bar has 16 steps. Drum strings: `X` accent, `x` hit, `o` ghost, `.` rest. Bass strings: `R` root, `5` fifth,
`8` octave, `3` third, `7` seventh (or sixth), `a` step to the next root; `-` holds, `.` rests. Chord strings: `x`
strikes, `-` holds. Arpeggio strings: digits are chord tones, `-` holds. Lead strings (two bars, 32 steps): `x` a new
note, `-` holds. Longer strings than one bar run over several bars.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Groove = dict[str, str]


@dataclass(frozen=True)
class Genre:
    """One genre. Tempo in beats per minute; swing is where the off-step falls in its pair (0.5 is straight)."""

    name: str
    tempo: tuple[int, int]
    progressions: dict[str, tuple[str, ...]]
    main: tuple[Groove, ...]
    light: Groove
    full: Groove
    bass: tuple[str, ...]
    chords: tuple[str, ...]
    lead: tuple[str, ...]
    arp: tuple[str, ...] = ("0-1-2-3-2-1-0-1-",)
    swing: tuple[float, float] = (0.5, 0.5)
    swing_unit: int = 16
    bars_per_chord: int = 1
    colour: tuple[str, ...] = ("pad",)
    pentatonic: bool = False
    pump: float = 0.0
    drums_db: float = 0.0
    build: bool = False
    bass_low: int = 31
    lead_in_verse: float = 0.3
    chord_seconds: float = 0.0
    extra: dict[str, str] = field(default_factory=dict)


_MINOR_POP = ("i bVI bVII i", "i bVII bVI bVII", "i iv bVI v", "i bVI iv bVII")
_MAJOR_POP = ("I V vi IV", "I vi IV V", "I IV I V", "I IV vi V")

_LEAD_CALM = (
    "x---x---x-------x---x-x-x-------",
    "x-----x-x-------....x---x-x-----",
    "..x-x---x-----x-x---------......",
)
_LEAD_BUSY = (
    "x-x-x-..x-x-x---x-x-..x-x---....",
    "x--x--x-x-x-....x--x--x-x---....",
    "x.xx.x.xx---....x.xx.x.xx-x-....",
)
_LEAD_HOOK = (
    "x---x--x--x-x---x---x--x--x-----",
    "x--x--x--x--x-x-x--x--x-x-------",
    "x-x---x-x---x---x-x---x-x-------",
)

GENRES: dict[str, Genre] = {
    genre.name: genre
    for genre in (
        Genre(
            name="house",
            tempo=(118, 128),
            swing=(0.5, 0.56),
            progressions={
                "minor": ("im7 bVImaj7 ivm7 im7", "im7 ivm7 bVII im7", "im9 bVII bVImaj7 v7"),
                "dorian": ("im7 IV7 im7 IV7", "im9 bIIImaj7 IV7 im7"),
            },
            main=(
                {"kick": "X...X...X...X...", "clap": "....X.......X...", "open_hat": "..x...x...x...x.",
                 "hat": "x.o.x.o.x.o.x.o."},
                {"kick": "X...X...X...X...", "clap": "....X.......X..o", "open_hat": "..x...x...x...x.",
                 "shaker": "xoxoxoxoxoxoxoxo"},
            ),
            light={"kick": "X...X...X...X...", "hat": "..x...x...x...x."},
            full={"kick": "X...X...X...X...", "clap": "....X.......X...", "open_hat": "..X...X...X...X.",
                  "hat": "xoxoxoxoxoxoxoxo", "conga": "...x..x....x..x."},
            bass=("..R-..R-..R-..8-", "R--R--R-..R-5-8-", "R..R..R.R..R.8.."),
            chords=("x--x--x---x-x---", "..x-..x-..x-..x-", "x--x..x-...x..x-"),
            lead=_LEAD_HOOK,
            colour=("pad",),
            pump=0.55,
        ),
        Genre(
            name="techno",
            tempo=(126, 138),
            progressions={"minor": ("i i bVI i", "i i i bVII", "i i iv i"), "dorian": ("i i IV i", "i bVII i i")},
            main=(
                {"kick": "X...X...X...X...", "hat": "..X...X...X...X.", "rim": "...x..x....x..x."},
                {"kick": "X...X...X...X...", "hat": "xoXoxoXoxoXoxoXo", "clap": "....x.......x..."},
            ),
            light={"kick": "X...X...X...X...", "hat": "..x...x...x...x."},
            full={"kick": "X...X...X...X...", "open_hat": "..X...X...X...X.", "hat": "xxoxxxoxxxoxxxox",
                  "clap": "....X.......X...", "tom": "......x..x......"},
            bass=(".RRR.RRR.RRR.RRR", "..R...R...R...R.", "R.RR.R.RR.RR.R.8"),
            chords=("...x.....x......", "x--.....x--.....", "......x-.....x--"),
            lead=("x..x..x..x..x.x.x..x..x..x..x.x.", "x.....x...x.....x.....x...x..x.."),
            arp=("0.20.20.20.20.30", "0120120120120123"),
            colour=("arp",),
            bars_per_chord=2,
            pentatonic=True,
            pump=0.45,
            build=True,
            drums_db=1.5,
        ),
        Genre(
            name="drum_and_bass",
            tempo=(168, 175),
            progressions={"minor": (*_MINOR_POP, "im9 im9 bVImaj7 bVII")},
            main=(
                {"kick": "X.........X.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
                {"kick": "X..X......X.....", "snare": "....X..o.o..X..o", "ride": "x...x...x...x..."},
            ),
            light={"hat": "x.x.x.x.x.x.x.x.", "rim": "....x.......x..."},
            full={"kick": "X.........X.....X..X......X.....", "snare": "....X..o.o..X.......X..o.o..X..o",
                  "hat": "xoxoxoxoxoxoxoxo", "ride": "x...x...x...x..."},
            bass=("R-----R-..R-----", "R-------....R-8-", "R--R--..5--5--8-"),
            chords=("x---------------", "x-----x---------", "..x-....x-......"),
            lead=_LEAD_CALM,
            arp=("0-2-1-3-2-4-3-1-",),
            colour=("pad",),
            bars_per_chord=2,
            drums_db=2.0,
        ),
        Genre(
            name="hip_hop",
            tempo=(84, 98),
            swing=(0.54, 0.6),
            progressions={
                "minor": ("im7 ivm7 im7 v7", "i bVI i bVII", "im7 bVImaj7 ivm7 im7"),
                "dorian": ("im7 IV7 im7 IV7",),
            },
            main=(
                {"kick": "X.....x.x.X.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
                {"kick": "X..x......X.x...", "snare": "....X..o....X...", "hat": "x.x.x.xox.x.x.x."},
            ),
            light={"kick": "X.........x.....", "hat": "x...x...x...x..."},
            full={"kick": "X.....x.x.X....x", "snare": "....X..o.o..X...", "hat": "xox.xox.xox.xox.",
                  "open_hat": "..............x."},
            bass=("R-----R-R-5-....", "R--R......R-8-5-", "R---....R-..3-5-"),
            chords=("x-------x-------", "x--.x--.....x--.", "x-----x-........"),
            lead=_LEAD_CALM,
            arp=("0...2...1...2...",),
            colour=("pad",),
            pentatonic=True,
            drums_db=1.5,
        ),
        Genre(
            name="synthwave",
            tempo=(88, 112),
            progressions={"minor": _MINOR_POP, "major": ("I vi IV V", "I iii IV I")},
            main=(
                {"kick": "X...X...X...X...", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
                {"kick": "X.....x.X.......", "snare": "....X.......X...", "hat": "xxxxxxxxxxxxxxxx"},
            ),
            light={"kick": "X.......X.......", "hat": "x...x...x...x..."},
            full={"kick": "X...X...X...X...", "snare": "....X.......X...", "hat": "xoxoxoxoxoxoxoxo",
                  "tom": "..........x..x.."},
            bass=("R.R.R.R.R.R.R.R.", "RRRRRRRRRRRRRRRR", "R.8.R.8.R.8.R.8."),
            chords=("x---------------", "x-----x---x-----"),
            lead=_LEAD_HOOK,
            arp=("0123210123210123", "0-2-1-2-3-2-1-2-"),
            colour=("pad", "arp"),
            pump=0.3,
        ),
        Genre(
            name="ambient",
            tempo=(70, 88),
            progressions={
                "major": ("Imaj7 IVmaj7", "Imaj9 vi7 IVmaj7 V", "Isus2 IVmaj7 vi7 IV"),
                "minor": ("i9 bVImaj7 ivm7 i9", "im7 bVImaj7"),
            },
            main=({"kick": "x.......x.......", "hat": "....o.......o...", "rim": "......o.......o."},
                  {"kick": "x.......o.......", "shaker": "o.o.x.o.o.o.x.o."}),
            light={"shaker": "o...o...o...o..."},
            full={"kick": "x.......x.......", "shaker": "o.o.x.o.o.o.x.o.", "rim": "....x.......x..."},
            bass=("R---------------", "R-------5-------"),
            chords=("x---------------",),
            lead=("x-------x---x---x---------------", "x-----------x---x-------x-------"),
            arp=("0---2---1---3---", "0-1-2-3-4-3-2-1-"),
            colour=("pad", "arp"),
            bars_per_chord=2,
            pentatonic=True,
            drums_db=-5.0,
            lead_in_verse=0.2,
        ),
        Genre(
            name="funk",
            tempo=(98, 114),
            swing=(0.5, 0.56),
            progressions={
                "dorian": ("im7 im7 IV9 IV9", "im7 IV7 im7 IV7", "im9 bVII im9 IV7"),
                "mixolydian": ("I7 I7 IV7 I7", "I9 bVII IV7 I9"),
            },
            main=(
                {"kick": "X.x.......x..x..", "snare": "....X..o.o..X..o", "hat": "x.xxx.xxx.xxx.xx"},
                {"kick": "X..x..x...x.....", "snare": "....X..o....X.o.", "hat": "x.x.x.x.x.x.x.x."},
            ),
            light={"kick": "X.........x.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
            full={"kick": "X.x.......x..x..", "snare": "....X..o.o..X..o", "hat": "xoxxxoxxxoxxxoxx",
                  "open_hat": "......x.......x.", "cowbell": "x...x...x...x..."},
            bass=("R..R..8.R..57.8.", "R.R...7.8..R.5..", "R-..8.R.7.5.R.a."),
            chords=("..x...x..x....x.", "x..x..x...x..x..", "....x..x....x.x."),
            lead=_LEAD_BUSY,
            colour=("arp",),
            arp=("..0.0..2..0.0.1.",),
            pentatonic=True,
        ),
        Genre(
            name="rock",
            tempo=(110, 148),
            progressions={"major": _MAJOR_POP, "mixolydian": ("I bVII IV I", "I IV bVII I"), "minor": (*_MINOR_POP, "i bVI bVII i")},
            main=(
                {"kick": "X.....x.X.......", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
                {"kick": "X.x.....X.x.....", "snare": "....X.......X...", "hat": "x.x.x.x.x.x.x.x."},
            ),
            light={"kick": "X.......X.......", "hat": "x...x...x...x..."},
            full={"kick": "X.x...x.X.x.....", "snare": "....X.......X...", "crash": "X...............",
                  "ride": "x.x.x.x.x.x.x.x."},
            bass=("R.R.R.R.R.R.R.R.", "R-R-R-R-R-R-5-a-", "R---R-R-R---R-5-"),
            chords=("x-x-x-x-x-x-x-x-", "x-----x-x-------", "x---x-x-..x-x-x-"),
            lead=_LEAD_HOOK,
            colour=("pad",),
            pentatonic=True,
            drums_db=1.0,
            extra={"voicing": "power"},
        ),
        Genre(
            name="reggae",
            tempo=(70, 84),
            swing=(0.54, 0.6),
            progressions={"minor": ("i iv i iv", "i bVII i bVII", "i bVII bVI bVII"), "major": ("I IV I V", "I ii I ii")},
            main=(
                {"kick": "........X.......", "rim": "........X.......", "hat": "x.x.x.x.x.x.x.x."},
                {"kick": "X...x...X...x...", "snare": "........X.......", "hat": "x.xox.xox.xox.xo"},
            ),
            light={"rim": "........x.......", "hat": "x.x.x.x.x.x.x.x."},
            full={"kick": "X...X...X...X...", "snare": "........X.......", "hat": "x.xox.xox.xox.xo",
                  "conga": "......x.......xx"},
            bass=("R-..R-3-5-..3-R-", "..R-R-5-..8-5-3-", "R---..5-R-..3-5-"),
            chords=("....x.......x...", "....x.x.....x.x."),
            lead=_LEAD_CALM,
            arp=("..0...1...0...2.",),
            colour=("arp",),
            chord_seconds=0.14,
        ),
        Genre(
            name="trap",
            tempo=(130, 150),
            progressions={"minor": ("i i bVI v", "i bVI i bVII", "i iv bVI v")},
            main=(
                {"kick": "X.....x.........X.........x.....", "clap": "........X.......", "hat": "x.x.x.x.x.x.x.x."},
                {"kick": "X..........x....X...x...........", "clap": "........X.......", "hat": "x.x.x.xxx.x.xxxx"},
            ),
            light={"hat": "x...x...x...x...", "rim": "........x......."},
            full={"kick": "X.....x.........X.........x..x..", "clap": "........X.......", "hat": "x.x.xxx.x.xxx.xx",
                  "open_hat": "..............x.", "snare": "...............o"},
            bass=("R-------------..", "R-----R---------", "R-----------8-..R-------5---...."),
            chords=("x---------------", "x-------x-------"),
            lead=("x---x-x-x---x---x---x-x-x-------", "x-x-x---x-x-x---x-x-x---x-------"),
            arp=("0-..2-..1-..2-..", "0-2-3-2-0-2-3-2-"),
            colour=("arp",),
            lead_in_verse=0.5,
            bars_per_chord=2,
        ),
        Genre(
            name="lofi",
            tempo=(70, 86),
            swing=(0.56, 0.62),
            progressions={
                "major": ("iim7 V7 Imaj7 vi7", "Imaj9 vi7 iim9 V9", "IVmaj7 iii7 ii7 Imaj7"),
                "minor": ("im9 ivm7 bVII7 im7", "im7 bVImaj7 ivm7 v7"),
            },
            main=(
                {"kick": "X......x..x.....", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
                {"kick": "X.....x...x.....", "rim": "....x.......x..o", "hat": "x.o.x.o.x.o.x.o."},
            ),
            light={"hat": "x...x...x...x...", "kick": "X.......x......."},
            full={"kick": "X......x..x....x", "snare": "....x..o....x...", "hat": "xox.xox.xox.xox.",
                  "open_hat": "..............o."},
            bass=("R-----..R-5-....", "R-------5---3-a-", "R---..R-5-----a-"),
            chords=("x-------x-------", "x-----x---x-----", "x---------x-----"),
            lead=_LEAD_CALM,
            arp=("0---1---2---1---",),
            colour=("pad",),
            pump=0.25,
        ),
        Genre(
            name="disco",
            tempo=(110, 124),
            progressions={"minor": ("im7 ivm7 im7 v7", "im7 bVII bVImaj7 v7"), "major": ("Imaj7 vi7 ii7 V7",)},
            main=(
                {"kick": "X...X...X...X...", "snare": "....X.......X...", "open_hat": "..X...X...X...X."},
                {"kick": "X...X...X...X...", "clap": "....X.......X...", "open_hat": "..X...X...X...X.",
                 "hat": "xo..xo..xo..xo.."},
            ),
            light={"kick": "X...X...X...X...", "hat": "x.x.x.x.x.x.x.x."},
            full={"kick": "X...X...X...X...", "snare": "....X.......X...", "open_hat": "..X...X...X...X.",
                  "hat": "xo.oxo.oxo.oxo.o", "conga": "..x..xx...x..xx."},
            bass=("R.8.R.8.R.8.R.8.", "R-8.R-8.5-8.7-8.", "R..8R..8R.58R.a8"),
            chords=("..x...x...x...x.", "x.x..x.xx.x..x..", "x--x--x-..x-..x-"),
            lead=_LEAD_BUSY,
            arp=("0-3-2-1-0-3-2-1-",),
            colour=("pad",),
            pump=0.15,
        ),
        Genre(
            name="trance",
            tempo=(132, 140),
            progressions={"minor": ("i bVI bIII bVII", "i bVII bVI bVII", "i i bVI bVII")},
            main=(
                {"kick": "X...X...X...X...", "clap": "....x.......x...", "open_hat": "..X...X...X...X."},
                {"kick": "X...X...X...X...", "snare": "....x.......x...", "open_hat": "..X...X...X...X.",
                 "hat": "xoxoxoxoxoxoxoxo"},
            ),
            light={"kick": "X...X...X...X...", "hat": "..x...x...x...x."},
            full={"kick": "X...X...X...X...", "clap": "....X.......X...", "open_hat": "..X...X...X...X.",
                  "hat": "xxoxxxoxxxoxxxox", "ride": "x...x...x...x..."},
            bass=("..RR..RR..RR..RR", ".RRR.RRR.RRR.RRR", "..R-..R-..R-..R-"),
            chords=("x--x--x--x--x-x-", "x.xx.xx.xx.xx.x.", "x---------------"),
            lead=_LEAD_HOOK,
            arp=("0123012301230123", "0213021302130213"),
            colour=("pad", "arp"),
            bars_per_chord=1,
            pump=0.6,
            build=True,
        ),
        Genre(
            name="bossa",
            tempo=(120, 144),
            progressions={
                "major": ("Imaj7 vi7 iim7 V7", "Imaj7 II7 iim7 V7", "Imaj9 iii7 ii7 V9"),
                "minor": ("im7 ivm7 V7 im7", "im9 iim7b5 V7 im9"),
            },
            main=(
                {"kick": "X..xX..xX..xX..x", "rim": "x..x..x...x..x..", "hat": "x.x.x.x.x.x.x.x."},
                {"kick": "X..xX..xX..xX..x", "rim": "x..x..x...x..x..", "shaker": "xoxoxoxoxoxoxoxo"},
            ),
            light={"rim": "x..x..x...x..x..", "shaker": "xoxoxoxoxoxoxoxo"},
            full={"kick": "X..xX..xX..xX..x", "rim": "x..x..x...x..x..", "shaker": "xoxoxoxoxoxoxoxo",
                  "conga": "....x..x....x.xx"},
            bass=("R--5-5-5R--5-5-5", "R-----5-5-----R-", "R--RR--R5--55--5"),
            chords=("x--x--x---x--x--", "x-x-..x-x-..x-..", "..x-..x-x-..x-x-"),
            lead=_LEAD_CALM,
            arp=("0-..2-..1-..2-..",),
            colour=("pad",),
            bars_per_chord=2,
        ),
    )
}
