-- Extend the selected audio item: Segue continues it, and what it makes becomes takes of the item.
local here = debug.getinfo(1, "S").source:match("^@?(.*[/\\])") or ""
local lib = dofile(here .. "segue_lib.lua")

local letter, problem = lib.extend("takes", true)
if not letter then
  lib.say(problem)
elseif not lib.somebody_looks() then
  lib.run(letter)
end
