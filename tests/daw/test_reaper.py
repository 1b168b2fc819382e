"""REAPER's actions in a real Lua, over a stub of its API that checks every call against the documented signatures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import soundfile as sf

from bridge.daw.letters import read
from tests.bridge.client import OscClient
from tests.bridge.conftest import RunningSession
from tests.daw.lua import ROOT, SCRIPTS, needs_lua, run_lua
from tests.daw.test_mailbox import put

pytestmark = needs_lua

# One item of 4 s on the second track, at bar 3 of 120 BPM, that plays a file of 10 s from 1.5 s on.
PROJECT = """
local first, second = rig.add_track(), rig.add_track()
local item, take = rig.add_item(second, { path = "/music/my riff.wav", seconds = 10.0, type = "WAVE" },
  { D_POSITION = 4.0, D_LENGTH = 4.0 }, { D_STARTOFFS = 1.5, B_PPITCH = 1.0 })
project.selected = { item }
project.files = { ["/takes/A01.wav"] = 8.0, ["/takes/A02.wav"] = 8.0 }
seen.changes_outside = 0
local function take_of(send, name, mark, track, after)
  return lib.line("/segue/daw/take", send, send, "/takes/" .. name .. ".wav", name, 8.0, 120.0, 4711, track or 0, 0,
    after or 0.0, mark)
end
"""


def test_every_function_that_the_scripts_call_is_documented() -> None:
    table = (ROOT / "tests" / "daw" / "reaper_api.lua").read_text()
    documented = set(re.findall(r"^  (\w+) = \{ \{", table, re.M))
    called = {
        name for path in SCRIPTS.glob("*.lua") for name in re.findall(r"reaper\.(\w+)", path.read_text())
    }
    assert called and called - documented == set()


def test_an_item_is_extended_and_its_take_comes_in_behind_it(mail: Path) -> None:
    run_lua(
        PROJECT
        + """
run("Segue extend selected item")
local sent = letters()
is(sent[1][1], "/segue/daw/prime"); is(sent[1][2], "reaper"); is(sent[1][3], "/music/my riff.wav")
near(sent[1][4], 1.5); near(sent[1][5], 4.0); near(sent[1][6], 120.0); near(sent[1][7], 8.0)
is(sent[1][9], 1)
is(sent[2][1], "/segue/daw/here"); is(sent[2][2], "reaper"); is(sent[2][3], "7.60/linux-x86_64")
is(rig.tick(), 1)
reaper.SetMediaItemInfo_Value(item, "D_POSITION", 6.0)  -- it is moved meanwhile
seen.changes_outside = 0
from_segue(take_of(7, "A01", sent[1][8]))
rig.tick()
is(#second.items, 2); is(#first.items, 0)
local new = second.items[2]
near(new.number.D_POSITION, 10.0); near(new.number.D_LENGTH, 8.0); is(new.number.B_LOOPSRC, 0)
is(#new.takes, 1)
local its = new.takes[1]
is(its.source.path, "/takes/A01.wav"); is(its.text.P_NAME, "Segue A01")
is(its.text["P_EXT:segue"], "take=7;name=A01;seed=4711")
is(its.number.D_PLAYRATE, 1.0)
is(#seen.undo, 1); is(seen.undo[1], "Segue: insert take A01"); is(seen.open_blocks, 0); is(seen.refresh, 0)
is(seen.changes_outside, 0)
local answer = letters()
is(answer[1][1], "/segue/daw/imported"); is(answer[1][2], 7)
-- Another take of the same item lies beside the first one, to choose from.
from_segue(take_of(8, "A02", sent[1][8]))
rig.tick()
is(#second.items, 2); is(#new.takes, 2); is(new.active, new.takes[2]); is(#seen.undo, 2)
-- A take that goes on from one of them begins where that ended.
from_segue(take_of(9, "A02", sent[1][8], 0, 8.0))
rig.tick()
is(#second.items, 3); near(second.items[3].number.D_POSITION, 18.0)
""",
        mail,
    )


def test_a_play_rate_is_kept(mail: Path) -> None:
    run_lua(
        PROJECT
        + """
take.number.D_PLAYRATE, take.number.D_STARTOFFS = 1.25, 0.0
run("Segue extend selected item")
local sent = letters()
near(sent[1][5], 5.0)        -- 4 s of the song are 5 s of the file
near(sent[1][6], 96.0)       -- which is slower
near(sent[1][7], 8.0)
from_segue(take_of(1, "A01", sent[1][8]))
rig.tick()
local new = second.items[2]
near(new.takes[1].number.D_PLAYRATE, 1.25); near(new.takes[1].number.B_PPITCH, 1.0)
near(new.number.D_POSITION, 8.0); near(new.number.D_LENGTH, 6.4)
""",
        mail,
    )


def test_takes_of_the_item_itself(mail: Path) -> None:
    run_lua(
        PROJECT
        + """
run("Segue extend selected item as takes")
from_segue(take_of(1, "A01", letters()[1][8]))
rig.tick()
is(#second.items, 1); is(#item.takes, 2); is(item.active, item.takes[2])
near(item.number.D_LENGTH, 4.0)
is(item.takes[2].source.path, "/takes/A01.wav"); is(item.takes[1].source.path, "/music/my riff.wav")
is(#seen.undo, 1)
""",
        mail,
    )


def test_without_a_place_a_take_begins_on_the_next_bar(mail: Path) -> None:
    run_lua(
        PROJECT
        + """
run("Segue insert takes")
project.cursor = 4.5
from_segue(take_of(1, "A01", "", 1))
rig.tick()
is(#first.items, 1); near(first.items[1].number.D_POSITION, 6.0)
project.cursor, project.selected_track = 6.0, second
from_segue(take_of(2, "A02", "item={gone};how=end;rate=2;pitch=1"))
rig.tick()
is(#second.items, 2); near(second.items[2].number.D_POSITION, 6.0); near(second.items[2].number.D_LENGTH, 8.0)
project.selected_track = nil
from_segue(take_of(3, "A01", ""))
rig.tick()
is(#project.tracks, 3); is(project.tracks[3].text.P_NAME, "Segue"); is(#project.tracks[3].items, 1)
is(#seen.undo, 3); is(seen.changes_outside, 0); is(#seen.messages, 0)
""",
        mail,
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("project.selected = {}", "Select one audio item to extend; 0 are selected."),
        ("project.selected = { item, item }", "Select one audio item to extend; 2 are selected."),
        ("item.takes = {}", "The selected item is empty; select one with audio in it."),
        ("take.source.type = 'MIDI'", "The selected item is MIDI; render or glue it to audio first"),
        ("take.source.type = 'SECTION'", "plays a section of its source; glue it first"),
        ("take.source.type = 'SECTION'; take.source.reversed = true", "is reversed; glue it first"),
        ("take.source.path = ''", "has no audio file; glue it first"),
        ("take.source.in_beats = true", "is not audio; render or glue it first"),
        ("take.stretch_markers = 2", "is stretched or transposed; glue it first"),
        ("take.number.D_PITCH = 3", "is stretched or transposed; glue it first"),
        ("item.number.D_LENGTH = 9", "loops its source; glue it first"),
        (
            "take.number.D_STARTOFFS = 11; item.number.B_LOOPSRC = 0",
            "lies outside its audio file; glue it first",
        ),
    ],
)
def test_what_cannot_be_primed_is_said(change: str, sentence: str, mail: Path) -> None:
    said = run_lua(
        PROJECT
        + change
        + """
run("Segue extend selected item")
print(seen.messages[1]); is(#seen.messages, 1); is(#letters(), 0); is(#seen.deferred, 0); is(#seen.undo, 0)
""",
        mail,
    )
    assert sentence in said


def test_an_item_may_reach_beyond_its_file(mail: Path) -> None:
    run_lua(
        PROJECT
        + """
item.number.B_LOOPSRC, item.number.D_LENGTH = 0.0, 20.0
run("Segue extend selected item")
near(letters()[1][5], 8.5)
take.number.D_STARTOFFS, item.number.D_LENGTH = -1.0, 4.0
run("Segue extend selected item")
local sent = letters()
near(sent[1][4], 0.0); near(sent[1][5], 3.0)
""",
        mail,
    )


def test_what_goes_wrong_is_refused_and_leaves_no_undo_block_open(mail: Path) -> None:
    run_lua(
        PROJECT
        + """
run("Segue insert takes")
letters()
from_segue(lib.line("/segue/daw/take", 1, 1, "/takes/gone.wav", "A01", 8.0, 120.0, 1, 0, 0, 0.0, ""))
rig.tick()
local answer = letters()
is(answer[1][1], "/segue/daw/refused"); is(answer[1][3], "the file '/takes/gone.wav' cannot be opened")
is(#seen.undo, 0); is(seen.open_blocks, 0)
from_segue(take_of(2, "A01", "", 9))
rig.tick()
answer = letters()
is(answer[1][1], "/segue/daw/refused"); is(answer[1][3], "there is no track 9")
is(seen.open_blocks, 0); is(seen.refresh, 0); is(#seen.undo, 0)
project.broken = true
from_segue(take_of(3, "A01", "", 1))
rig.tick()
is(letters()[1][1], "/segue/daw/refused"); is(seen.open_blocks, 0); is(seen.refresh, 0)
is(#first.items, 0); is(#second.items, 1); is(#seen.undo, 0)  -- what was begun is undone
from_segue(lib.line("/segue/fail", "/segue/daw/prime", 404, "no_file", "there is no file"))
rig.tick()
is(seen.messages[1], "Segue: there is no file")
is(#seen.deferred, 1)  -- it goes on looking
""",
        mail,
    )


def test_without_segue_it_says_so_and_takes_its_letter_back(mail: Path) -> None:
    run_lua(
        PROJECT
        + """
run("Segue extend selected item")
for _ = 1, 20 do rig.tick(0.5) end
is(#seen.messages, 1); is(seen.messages[1], "No Segue runs; start it with: segue serve")
is(#seen.deferred, 0)
local left = letters()
is(#left, 1); is(left[1][1], "/segue/daw/here")
""",
        mail,
    )


def test_one_script_looks_at_a_time(mail: Path) -> None:
    run_lua(
        PROJECT
        + """
run("Segue insert takes")
run("Segue extend selected item"); run("Segue insert takes")
is(#seen.deferred, 1)
rig.tick(); rig.quit(); seen.deferred = {}
run("Segue insert takes")
is(#seen.deferred, 1)
""",
        mail,
    )


def test_letters_of_both_sides_agree(mail: Path) -> None:
    out = run_lua(
        r"""io.write(lib.line("/segue/x",
    "a\tb\\n\n\r", "C:\\new\\t.wav", "Ünï ♪", "", 7, -0.25, 1e-9, 123456.78901234))""",
        mail,
    )
    message = read(out)[0]
    assert message.values == ("a\tb\\n\n\r", "C:\\new\\t.wav", "Ünï ♪", "", 7, -0.25, 1e-9, 123456.78901234)


def test_a_real_session_extends_an_item(
    client: OscClient, session: RunningSession, mail: Path, riff: Path
) -> None:
    client.send("/segue/param/seconds", 0.5)
    said = run_lua(
        f"""
local track = rig.add_track()
local item = rig.add_item(track, {{ path = "{riff}", seconds = 2.0, type = "WAVE" }},
  {{ D_POSITION = 4.0, D_LENGTH = 1.0 }}, {{ D_STARTOFFS = 0.5 }})
project.selected = {{ item }}
project.files = setmetatable({{}}, {{ __index = function(_, path) return lib.exists(path) and 0.5 or nil end }})
run("Segue extend selected item")
for _ = 1, 1600 do
  os.execute("sleep 0.05")
  rig.tick(0.05)
  if #track.items > 1 then break end
end
is(#track.items, 2); is(#seen.messages, 0)
near(track.items[2].number.D_POSITION, 5.0)
print(track.items[2].takes[1].source.path)
for _ = 1, 10 do os.execute("sleep 0.05") rig.tick(0.05) end
""",
        mail,
        timeout=120.0,
    )
    assert sf.info(said.strip()).frames > 0
    assert client.wait("/segue/prime", "P1")[1:3] == (pytest.approx(1.0, abs=0.01), 120.0)


def test_a_file_that_segue_refuses_is_told_in_reaper(
    client: OscClient, session: RunningSession, mail: Path
) -> None:
    put(mail / "reaper", "0", "/segue/daw/here\tsreaper\n")
    said = run_lua(
        """
local item = rig.add_item(rig.add_track(), { path = "/nowhere/gone.wav", seconds = 2.0, type = "WAVE" },
  { D_POSITION = 0.0, D_LENGTH = 1.0 })
project.selected = { item }
run("Segue extend selected item")
for _ = 1, 600 do
  os.execute("sleep 0.05")
  rig.tick(0.05)
  if #seen.messages > 0 then break end
end
print(seen.messages[1])
""",
        mail,
        timeout=120.0,
    )
    assert said.startswith("Segue: ") and "/nowhere/gone.wav" in said
