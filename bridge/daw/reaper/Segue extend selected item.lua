-- Extend the selected audio item: Segue continues it, and the takes come in behind it.
local here = debug.getinfo(1, "S").source:match("^@?(.*[/\\])") or ""
local lib = dofile(here .. "segue_lib.lua")

local letter, problem = lib.extend("end", true)
if not letter then
  lib.say(problem)
elseif not lib.somebody_looks() then
  lib.run(letter)
end
