-- A stub of REAPER's API: the functions by their documented signatures, checked at every call, over a small project.
--
-- SIGNATURES are written after the ReaScript documentation of REAPER 7 (reascripthelp.html): types of the arguments
-- and of what is returned. `?` = may be left out. "project" is 0 (the current one) or a project.

local SIGNATURES = {
  AddMediaItemToTrack = { { "MediaTrack" }, { "MediaItem" } },
  AddTakeToMediaItem = { { "MediaItem" }, { "MediaItem_Take" } },
  CountMediaItems = { { "project" }, { "integer" } },
  CountSelectedMediaItems = { { "project" }, { "integer" } },
  CountTrackMediaItems = { { "MediaTrack" }, { "integer" } },
  CountTracks = { { "project" }, { "integer" } },
  DeleteExtState = { { "string", "string", "boolean" }, {} },
  GetActiveTake = { { "MediaItem" }, { "MediaItem_Take?" } },
  GetAppVersion = { {}, { "string" } },
  GetCursorPosition = { {}, { "number" } },
  GetExtState = { { "string", "string" }, { "string" } },
  GetMediaItem = { { "project", "integer" }, { "MediaItem?" } },
  GetMediaItem_Track = { { "MediaItem" }, { "MediaTrack" } },
  GetMediaItemInfo_Value = { { "MediaItem", "string" }, { "number" } },
  GetMediaItemTake_Source = { { "MediaItem_Take" }, { "PCM_source" } },
  GetMediaItemTakeInfo_Value = { { "MediaItem_Take", "string" }, { "number" } },
  GetMediaSourceFileName = { { "PCM_source" }, { "string" } },
  GetMediaSourceLength = { { "PCM_source" }, { "number", "boolean" } },
  GetMediaSourceType = { { "PCM_source" }, { "string" } },
  GetSelectedMediaItem = { { "project", "integer" }, { "MediaItem?" } },
  GetSelectedTrack = { { "project", "integer" }, { "MediaTrack?" } },
  GetSetMediaItemInfo_String = { { "MediaItem", "string", "string", "boolean" }, { "boolean", "string" } },
  GetSetMediaItemTakeInfo_String = { { "MediaItem_Take", "string", "string", "boolean" }, { "boolean", "string" } },
  GetSetMediaTrackInfo_String = { { "MediaTrack", "string", "string", "boolean" }, { "boolean", "string" } },
  GetTakeNumStretchMarkers = { { "MediaItem_Take" }, { "integer" } },
  GetTrack = { { "project", "integer" }, { "MediaTrack?" } },
  GetTrackMediaItem = { { "MediaTrack", "integer" }, { "MediaItem?" } },
  InsertTrackAtIndex = { { "integer", "boolean" }, {} },
  Main_OnCommand = { { "integer", "integer" }, {} },
  PCM_Source_CreateFromFile = { { "string" }, { "PCM_source?" } },
  PCM_Source_GetSectionInfo = { { "PCM_source" }, { "boolean", "number", "number", "boolean" } },
  PreventUIRefresh = { { "integer" }, {} },
  RecursiveCreateDirectory = { { "string", "integer" }, { "integer" } },
  SetActiveTake = { { "MediaItem_Take" }, {} },
  SetExtState = { { "string", "string", "string", "boolean" }, {} },
  SetMediaItemInfo_Value = { { "MediaItem", "string", "number" }, { "boolean" } },
  SetMediaItemTake_Source = { { "MediaItem_Take", "PCM_source" }, { "boolean" } },
  SetMediaItemTakeInfo_Value = { { "MediaItem_Take", "string", "number" }, { "boolean" } },
  ShowMessageBox = { { "string", "string", "integer" }, { "integer" } },
  TakeIsMIDI = { { "MediaItem_Take" }, { "boolean" } },
  TimeMap2_beatsToTime = { { "project", "number", "integer?" }, { "number" } },
  TimeMap2_timeToBeats = { { "project", "number" }, { "number", "integer", "integer", "number", "integer" } },
  TimeMap_GetTimeSigAtTime = { { "project", "number" }, { "integer", "integer", "number" } },
  Undo_BeginBlock2 = { { "project" }, {} },
  Undo_DoUndo2 = { { "project" }, { "integer" } },
  Undo_EndBlock2 = { { "project", "string", "integer" }, {} },
  UpdateArrange = { {}, {} },
  UpdateItemInProject = { { "MediaItem" }, {} },
  atexit = { { "function" }, {} },
  defer = { { "function" }, { "boolean" } },
  time_precise = { {}, { "number" } },
}

-- Attributes that the documentation lists for the *Info functions that are used here.
local ATTRIBUTES = {
  MediaItem = { B_LOOPSRC = true, D_POSITION = true, D_LENGTH = true, D_SNAPOFFSET = true, C_LOCK = true },
  MediaItem_Take = { D_STARTOFFS = true, D_PLAYRATE = true, D_PITCH = true, B_PPITCH = true, D_VOL = true },
  MediaItemText = { GUID = true, P_NOTES = true },
  MediaItem_TakeText = { GUID = true, P_NAME = true },
  MediaTrackText = { GUID = true, P_NAME = true },
}

local project = { tracks = {}, selected = {}, selected_track = nil, cursor = 0, tempo = 120.0, numerator = 4 }
local seen = { calls = {}, undo = {}, open_blocks = 0, refresh = 0, messages = {}, commands = {}, deferred = {},
  exits = {}, ext = {}, changes_outside = 0, now = 1000.0 }
local guids = 0

local function guid()
  guids = guids + 1
  return string.format("{%08X-0000-4000-8000-000000000000}", guids)
end

local function thing(kind, fields)
  fields.kind, fields.guid, fields.text, fields.number = kind, guid(), fields.text or {}, fields.number or {}
  return fields
end

local function changed()
  if seen.open_blocks == 0 then seen.changes_outside = seen.changes_outside + 1 end
end

local function attribute(kind, name)
  if not ATTRIBUTES[kind][name] and not (name:match("^P_EXT:%w[%w_]*$") and kind:match("Text$")) then
    error("no documented attribute " .. name .. " of " .. kind, 0)
  end
end

local remember

local function all_items()
  local items = {}
  for _, track in ipairs(project.tracks) do
    for _, item in ipairs(track.items) do items[#items + 1] = item end
  end
  return items
end

local function get_set_text(kind)
  return function(object, name, value, set)
    attribute(kind .. "Text", name)
    if name == "GUID" then return true, object.guid end
    if set then
      changed()
      object.text[name] = value
      return true, value
    end
    local found = object.text[name]
    return found ~= nil, found or ""
  end
end

local function get_number(kind)
  return function(object, name)
    attribute(kind, name)
    return object.number[name] or 0.0
  end
end

local function set_number(kind)
  return function(object, name, value)
    attribute(kind, name)
    changed()
    object.number[name] = value
    return true
  end
end

-- A function that brings tracks, items and takes back as they are now.
function remember()
  local tracks = { table.unpack(project.tracks) }
  local items, takes = {}, {}
  for _, track in ipairs(tracks) do items[track] = { table.unpack(track.items) } end
  for _, item in ipairs(all_items()) do takes[item] = { table.unpack(item.takes) } end
  return function()
    project.tracks = tracks
    for track, its in pairs(items) do track.items = its end
    for item, its in pairs(takes) do item.takes = its end
  end
end

local bar_seconds = function() return 60.0 / project.tempo * project.numerator end

local IMPLEMENTATION = {
  AddMediaItemToTrack = function(track)
    changed()
    local item = thing("MediaItem", { track = track, takes = {}, number = { B_LOOPSRC = 1.0 } })
    track.items[#track.items + 1] = item
    return item
  end,
  AddTakeToMediaItem = function(item)
    changed()
    if project.broken then error("out of memory", 0) end
    local take = thing("MediaItem_Take", { item = item, number = { D_PLAYRATE = 1.0 } })
    item.takes[#item.takes + 1] = take
    return take
  end,
  CountMediaItems = function() return #all_items() end,
  CountSelectedMediaItems = function() return #project.selected end,
  CountTrackMediaItems = function(track) return #track.items end,
  CountTracks = function() return #project.tracks end,
  DeleteExtState = function(section, key) seen.ext[section .. "/" .. key] = nil end,
  GetActiveTake = function(item) return item.active or item.takes[1] end,
  GetAppVersion = function() return "7.60/linux-x86_64" end,
  GetCursorPosition = function() return project.cursor end,
  GetExtState = function(section, key) return seen.ext[section .. "/" .. key] or "" end,
  GetMediaItem = function(_, index) return all_items()[index + 1] end,
  GetMediaItem_Track = function(item) return item.track end,
  GetMediaItemInfo_Value = get_number("MediaItem"),
  GetMediaItemTake_Source = function(take) return take.source end,
  GetMediaItemTakeInfo_Value = get_number("MediaItem_Take"),
  GetMediaSourceFileName = function(source) return source.path end,
  GetMediaSourceLength = function(source) return source.seconds, source.in_beats or false end,
  GetMediaSourceType = function(source) return source.type end,
  GetSelectedMediaItem = function(_, index) return project.selected[index + 1] end,
  GetSelectedTrack = function(_, index) return index == 0 and project.selected_track or nil end,
  GetSetMediaItemInfo_String = get_set_text("MediaItem"),
  GetSetMediaItemTakeInfo_String = get_set_text("MediaItem_Take"),
  GetSetMediaTrackInfo_String = get_set_text("MediaTrack"),
  GetTakeNumStretchMarkers = function(take) return take.stretch_markers or 0 end,
  GetTrack = function(_, index) return project.tracks[index + 1] end,
  GetTrackMediaItem = function(track, index) return track.items[index + 1] end,
  InsertTrackAtIndex = function(index)
    changed()
    table.insert(project.tracks, index + 1, thing("MediaTrack", { items = {} }))
  end,
  Main_OnCommand = function(command) seen.commands[#seen.commands + 1] = command end,
  PCM_Source_CreateFromFile = function(path)
    local seconds = project.files[path]
    return seconds and thing("PCM_source", { path = path, seconds = seconds, type = "WAVE" }) or nil
  end,
  PCM_Source_GetSectionInfo = function(source)
    return source.type == "SECTION", 0.0, source.seconds, source.reversed or false
  end,
  PreventUIRefresh = function(by) seen.refresh = seen.refresh + by end,
  RecursiveCreateDirectory = function(path) return os.execute("mkdir -p '" .. path .. "'") and 1 or 0 end,
  SetActiveTake = function(take) changed() take.item.active = take end,
  SetExtState = function(section, key, value) seen.ext[section .. "/" .. key] = value end,
  SetMediaItemInfo_Value = set_number("MediaItem"),
  SetMediaItemTake_Source = function(take, source) changed() take.source = source return true end,
  SetMediaItemTakeInfo_Value = set_number("MediaItem_Take"),
  ShowMessageBox = function(message) seen.messages[#seen.messages + 1] = message return 1 end,
  TakeIsMIDI = function(take) return take.source.type == "MIDI" end,
  TimeMap2_beatsToTime = function(_, beats, measure)
    return (measure or 0) * bar_seconds() + beats * 60.0 / project.tempo
  end,
  TimeMap2_timeToBeats = function(_, seconds)
    local measure = math.floor(seconds / bar_seconds() + 1e-9)
    local beats = seconds * project.tempo / 60.0
    return beats - measure * project.numerator, measure, project.numerator, beats, 4
  end,
  TimeMap_GetTimeSigAtTime = function() return project.numerator, 4, project.tempo end,
  Undo_BeginBlock2 = function()
    seen.open_blocks = seen.open_blocks + 1
    seen.before = remember()
  end,
  Undo_DoUndo2 = function()
    assert(seen.open_blocks == 0, "an undo inside of a block")
    if #seen.undo == 0 then return 0 end
    table.remove(seen.undo)
    seen.before()
    return 1
  end,
  Undo_EndBlock2 = function(_, name)
    seen.open_blocks = seen.open_blocks - 1
    seen.undo[#seen.undo + 1] = name
  end,
  UpdateArrange = function() end,
  UpdateItemInProject = function() end,
  atexit = function(what) seen.exits[#seen.exits + 1] = what end,
  defer = function(what) seen.deferred[#seen.deferred + 1] = what return true end,
  time_precise = function() return seen.now end,
}

local function is_of(kind, value)
  if kind:sub(-1) == "?" then return value == nil or is_of(kind:sub(1, -2), value) end
  if kind == "project" then return value == 0 end
  if kind == "integer" then return type(value) == "number" and math.floor(value) == value end
  if kind == "number" or kind == "string" or kind == "boolean" or kind == "function" then return type(value) == kind end
  return type(value) == "table" and value.kind == kind
end

local function check(where, kinds, values, count)
  if count > #kinds then error(where .. ": " .. count .. " values, but " .. #kinds .. " are documented", 0) end
  for index, kind in ipairs(kinds) do
    if not is_of(kind, values[index]) then
      error(string.format("%s: value %d must be %s, not %s", where, index, kind, tostring(values[index])), 0)
    end
  end
end

reaper = setmetatable({}, {
  __index = function(_, name)
    local signature = SIGNATURES[name]
    if not signature then error("reaper." .. tostring(name) .. " is not in the table of documented functions", 0) end
    return function(...)
      seen.calls[name] = true
      check(name .. ", argument", signature[1], { ... }, select("#", ...))
      local results = table.pack(IMPLEMENTATION[name](...))
      check(name .. ", result", signature[2], results, results.n)
      return table.unpack(results, 1, results.n)
    end
  end,
})

for name in pairs(SIGNATURES) do assert(IMPLEMENTATION[name], name) end

local rig = { project = project, seen = seen }

function rig.add_track() reaper.InsertTrackAtIndex(#project.tracks, true) return project.tracks[#project.tracks] end

-- An item on a track with one take; `fields`: of the source (path, seconds, type, ...), the item and the take.
function rig.add_item(track, source, item_numbers, take_numbers)
  local item = reaper.AddMediaItemToTrack(track)
  for name, value in pairs(item_numbers) do item.number[name] = value end
  local take = reaper.AddTakeToMediaItem(item)
  take.source = thing("PCM_source", source)
  for name, value in pairs(take_numbers or {}) do take.number[name] = value end
  return item, take
end

-- Time passes, and what was deferred is run once.
function rig.tick(seconds)
  seen.now = seen.now + (seconds or 0.03)
  local due = seen.deferred
  seen.deferred = {}
  for _, what in ipairs(due) do what() end
  return #due
end

function rig.quit() for _, what in ipairs(seen.exits) do what() end end

return rig
