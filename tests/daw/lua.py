"""Running Lua: the real interpreter, over a stub of REAPER's API."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "bridge" / "daw" / "reaper"
LUA = next((path for name in ("lua5.4", "lua5.3", "lua") if (path := shutil.which(name))), None)

needs_lua = pytest.mark.skipif(LUA is None, reason="Lua 5.4 is not installed (Debian: lua5.4)")

PREAMBLE = f"""
local rig = dofile("{ROOT}/tests/daw/reaper_api.lua")
local project, seen = rig.project, rig.seen
local SCRIPTS = "{SCRIPTS}/"
local lib = dofile(SCRIPTS .. "segue_lib.lua")
local function run(name) dofile(SCRIPTS .. name .. ".lua") end
local function letter(name)  -- what was left for Segue, taken
  local path = lib.folder() .. "/to_segue/" .. name
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  os.remove(path)
  return lib.parse(text)
end
local function letters()  -- all of them in order, taken
  local list = io.popen("cd '" .. lib.folder() .. "/to_segue' && ls *.msg 2>/dev/null")
  local messages = {{}}
  for name in list:lines() do
    for _, message in ipairs(letter(name)) do messages[#messages + 1] = message end
  end
  list:close()
  return messages
end
local function from_segue(text)
  local file = assert(io.open(lib.folder() .. "/from_segue", "wb"))
  file:write(text)
  file:close()
end
local function is(found, wanted)
  if found ~= wanted then error(string.format("%s, not %s", tostring(found), tostring(wanted)), 2) end
end
local function near(found, wanted)
  if math.abs(found - wanted) > 1e-9 then error(string.format("%.12g, not %.12g", found, wanted), 2) end
end
"""


def run_lua(script: str, mail: Path, timeout: float = 30.0) -> str:
    """What a script prints; fails the test with Lua's traceback if it fails. ``mail``: folder of the mailboxes."""
    assert LUA is not None
    environment = {**os.environ, "SEGUE_DAW": str(mail)}
    done = subprocess.run(
        [LUA, "-"],
        input=PREAMBLE + script,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
