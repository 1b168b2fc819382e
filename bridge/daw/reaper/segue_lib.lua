-- What Segue's actions in REAPER share: letters to and from Segue, the selected item, and putting takes in.
-- Letters: bridge/daw/README.md. Needs no extension; Lua in REAPER has files but no sockets.

local lib = {}

lib.SECTION = "segue"
lib.HERE_SECONDS = 2.0 -- between signs of life
lib.DEAF_SECONDS = 6.0 -- a sign of life that nobody has taken for so long: no Segue runs
local BUILD_MISSING_PEAKS = 40047

---------------------------------------------------------------------------------------------------------------------
-- letters

local escapes = { ["\\"] = "\\\\", ["\t"] = "\\t", ["\n"] = "\\n", ["\r"] = "\\r" }
local plain = { ["\\\\"] = "\\", ["\\t"] = "\t", ["\\n"] = "\n", ["\\r"] = "\r" }

function lib.folder()
  local named = os.getenv("SEGUE_DAW")
  if named and named ~= "" then return named .. "/reaper" end
  local home = os.getenv("USERPROFILE") or os.getenv("HOME") or ""
  return home:gsub("\\", "/") .. "/.segue/daw/reaper"
end

local function argument(value)
  if math.type(value) == "integer" then return "i" .. string.format("%d", value) end
  if type(value) == "number" then return "f" .. (string.format("%.17g", value):gsub(",", ".")) end
  return "s" .. (tostring(value):gsub("[\\\t\n\r]", escapes))
end

-- One line: an address and its arguments.
function lib.line(address, ...)
  local parts = { address }
  for _, value in ipairs({ ... }) do parts[#parts + 1] = argument(value) end
  return table.concat(parts, "\t") .. "\n"
end

-- The messages of a letter: a list of tables with the address first.
function lib.parse(text)
  local messages = {}
  for line in text:gmatch("[^\n]+") do
    local message = {}
    for part in line:gmatch("[^\t]+") do
      if #message == 0 then
        message[1] = part
      elseif part:sub(1, 1) == "s" then
        message[#message + 1] = part:sub(2):gsub("\\.", plain)
      else
        message[#message + 1] = tonumber(part:sub(2))
      end
    end
    messages[#messages + 1] = message
  end
  return messages
end

local count = 0

-- Leaves a letter for Segue. The name decides the order; a letter under `fixed` is left only if none lies there.
function lib.post(text, fixed)
  local folder = lib.folder() .. "/to_segue"
  reaper.RecursiveCreateDirectory(folder, 0)
  count = count + 1
  local name = fixed or string.format("%.3f-%d", reaper.time_precise(), count)
  local path = folder .. "/" .. name .. ".msg"
  local file, problem = io.open(path .. ".part", "wb")
  if not file then return nil, "Segue's folder cannot be written to (" .. tostring(problem) .. ")." end
  file:write(text)
  file:close()
  os.remove(path) -- only ever the sign of life: Windows does not rename onto a file
  local renamed, why = os.rename(path .. ".part", path)
  if not renamed then return nil, "Segue's folder cannot be written to (" .. tostring(why) .. ")." end
  return path
end

-- Takes the letter from Segue, if one lies there.
function lib.take()
  local path = lib.folder() .. "/from_segue"
  local mine = path .. ".read"
  os.remove(mine)
  if not os.rename(path, mine) then return {} end
  local file = io.open(mine, "rb")
  if not file then return {} end
  local text = file:read("a")
  file:close()
  os.remove(mine)
  return lib.parse(text)
end

function lib.exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

function lib.say(sentence) reaper.ShowMessageBox(sentence, "Segue", 0) end

---------------------------------------------------------------------------------------------------------------------
-- marks: what comes back with a take, as name=value pairs

function lib.mark(fields)
  local parts = {}
  for _, name in ipairs({ "item", "how", "rate", "pitch" }) do
    if fields[name] ~= nil then parts[#parts + 1] = name .. "=" .. tostring(fields[name]) end
  end
  return table.concat(parts, ";")
end

function lib.unmark(text)
  local fields = {}
  for name, value in text:gmatch("(%w+)=([^;]*)") do fields[name] = value end
  return fields
end

---------------------------------------------------------------------------------------------------------------------
-- the selected item

-- The selected item as Segue is told of it, or nil and one sentence.
function lib.selected()
  local selected = reaper.CountSelectedMediaItems(0)
  if selected ~= 1 then
    return nil, string.format("Select one audio item to extend; %d are selected.", selected)
  end
  local item = reaper.GetSelectedMediaItem(0, 0)
  local take = reaper.GetActiveTake(item)
  if not take then return nil, "The selected item is empty; select one with audio in it." end
  if reaper.TakeIsMIDI(take) then
    return nil, "The selected item is MIDI; render or glue it to audio first, then extend that."
  end
  return lib.audio(item, take)
end

-- The span of a source file that an item plays, or nil and one sentence.
function lib.audio(item, take)
  local source = reaper.GetMediaItemTake_Source(take)
  local kind = reaper.GetMediaSourceType(source)
  if kind == "SECTION" then
    local _, _, _, reversed = reaper.PCM_Source_GetSectionInfo(source)
    if reversed then return nil, "The selected item is reversed; glue it first, then extend it." end
    return nil, "The selected item plays a section of its source; glue it first, then extend it."
  end
  local path = reaper.GetMediaSourceFileName(source)
  if path == "" then return nil, "The selected item has no audio file; glue it first, then extend it." end
  local in_file, in_beats = reaper.GetMediaSourceLength(source)
  if in_beats then return nil, "The selected item is not audio; render or glue it first, then extend it." end
  if reaper.GetTakeNumStretchMarkers(take) > 0 or reaper.GetMediaItemTakeInfo_Value(take, "D_PITCH") ~= 0 then
    return nil, "The selected item is stretched or transposed; glue it first, then extend it."
  end
  local position = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
  local length = reaper.GetMediaItemInfo_Value(item, "D_LENGTH")
  local rate = reaper.GetMediaItemTakeInfo_Value(take, "D_PLAYRATE")
  local start = reaper.GetMediaItemTakeInfo_Value(take, "D_STARTOFFS")
  local span = length * rate
  if start < 0 then start, span = 0, span + start end
  local left = in_file - start
  if span > left + 0.001 and reaper.GetMediaItemInfo_Value(item, "B_LOOPSRC") ~= 0 then
    return nil, "The selected item loops its source; glue it first, then extend it."
  end
  span = math.min(span, left)
  if span <= 0 then return nil, "The selected item lies outside its audio file; glue it first, then extend it." end
  local _, _, tempo = reaper.TimeMap_GetTimeSigAtTime(0, position)
  local _, guid = reaper.GetSetMediaItemInfo_String(item, "GUID", "", false)
  return {
    path = path, start = start, length = span, bpm = tempo / rate, ends = position + length,
    item = guid, rate = rate, pitch = reaper.GetMediaItemTakeInfo_Value(take, "B_PPITCH"),
  }
end

-- Sends the selected item to Segue; `how`: where its takes go, "end" (behind the item) or "takes" (takes of it).
-- Returns the letter's path, or nil and one sentence.
function lib.extend(how, generate)
  local clip, problem = lib.selected()
  if not clip then return nil, problem end
  local mark = lib.mark({ item = clip.item, how = how, rate = string.format("%.17g", clip.rate),
    pitch = string.format("%d", math.floor(clip.pitch)) })
  return lib.post(lib.line("/segue/daw/prime", "reaper", clip.path, clip.start, clip.length, clip.bpm, clip.ends,
    mark, generate and 1 or 0))
end

---------------------------------------------------------------------------------------------------------------------
-- putting takes in

-- A take of Segue: the fields of /segue/daw/take.
function lib.arrived(message)
  local names = { "send", "id", "path", "name", "seconds", "bpm", "seed", "track", "slot", "after", "mark" }
  local fields = {}
  for index, name in ipairs(names) do fields[name] = message[index + 1] end
  fields.where = lib.unmark(fields.mark or "")
  return fields
end

local function find_item(guid)
  for index = 0, reaper.CountMediaItems(0) - 1 do
    local item = reaper.GetMediaItem(0, index)
    local _, its = reaper.GetSetMediaItemInfo_String(item, "GUID", "", false)
    if its == guid then return item end
  end
  return nil
end

-- The item at this place of a track that holds takes for the same item already.
local function find_sibling(track, position, guid)
  for index = 0, reaper.CountTrackMediaItems(track) - 1 do
    local item = reaper.GetTrackMediaItem(track, index)
    local _, whose = reaper.GetSetMediaItemInfo_String(item, "P_EXT:segue_of", "", false)
    local at = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
    if whose == guid and math.abs(at - position) < 0.001 then return item end
  end
  return nil
end

-- The edit cursor, or the next bar line behind it.
local function next_bar()
  local cursor = reaper.GetCursorPosition()
  local beats, measure = reaper.TimeMap2_timeToBeats(0, cursor)
  if beats < 0.001 then return cursor end
  return reaper.TimeMap2_beatsToTime(0, 0, measure + 1)
end

local function track_for(number)
  if number > 0 then
    local track = reaper.GetTrack(0, number - 1)
    if not track then error({ sentence = "there is no track " .. string.format("%d", number) }) end
    return track
  end
  local selected = reaper.GetSelectedTrack(0, 0)
  if selected then return selected end
  local last = reaper.CountTracks(0)
  reaper.InsertTrackAtIndex(last, true)
  local track = reaper.GetTrack(0, last)
  reaper.GetSetMediaTrackInfo_String(track, "P_NAME", "Segue", true)
  return track
end

local function describe(take, fields, source, rate, pitch)
  reaper.SetMediaItemTake_Source(take, source)
  reaper.SetMediaItemTakeInfo_Value(take, "D_PLAYRATE", rate)
  reaper.SetMediaItemTakeInfo_Value(take, "B_PPITCH", pitch)
  reaper.GetSetMediaItemTakeInfo_String(take, "P_NAME", "Segue " .. fields.name, true)
  local recipe = string.format("take=%d;name=%s;seed=%d", fields.id, fields.name, fields.seed)
  reaper.GetSetMediaItemTakeInfo_String(take, "P_EXT:segue", recipe, true)
end

local function place(fields, source)
  local where = fields.where
  local seconds = reaper.GetMediaSourceLength(source)
  local primed = where.item and find_item(where.item)
  local rate, pitch, guid = 1.0, 1.0, ""
  local item, track, position
  if primed and fields.track == 0 then
    rate, pitch, guid = tonumber(where.rate) or 1.0, tonumber(where.pitch) or 1.0, where.item
    track = reaper.GetMediaItem_Track(primed)
    position = reaper.GetMediaItemInfo_Value(primed, "D_POSITION")
      + reaper.GetMediaItemInfo_Value(primed, "D_LENGTH") + fields.after / rate
    item = where.how == "takes" and primed or find_sibling(track, position, guid)
  else
    track, position = track_for(fields.track), next_bar()
  end
  if not item then
    item = reaper.AddMediaItemToTrack(track)
    reaper.SetMediaItemInfo_Value(item, "D_POSITION", position)
    reaper.SetMediaItemInfo_Value(item, "B_LOOPSRC", 0)
    reaper.GetSetMediaItemInfo_String(item, "P_EXT:segue_of", guid, true)
  end
  local take = reaper.AddTakeToMediaItem(item)
  describe(take, fields, source, rate, pitch)
  if item ~= primed then
    local length = math.max(reaper.GetMediaItemInfo_Value(item, "D_LENGTH"), seconds / rate)
    reaper.SetMediaItemInfo_Value(item, "D_LENGTH", length)
  end
  reaper.SetActiveTake(take)
  reaper.UpdateItemInProject(item)
end

-- Puts a take into the project, as one undo step. Returns true, or nil and what is wrong; nothing is changed then.
function lib.insert(fields)
  local source = reaper.PCM_Source_CreateFromFile(fields.path)
  if not source then return nil, "the file '" .. fields.path .. "' cannot be opened" end
  reaper.Undo_BeginBlock2(0)
  reaper.PreventUIRefresh(1)
  local done, problem = pcall(place, fields, source)
  reaper.PreventUIRefresh(-1)
  reaper.Undo_EndBlock2(0, "Segue: insert take " .. fields.name, -1)
  if not done then reaper.Undo_DoUndo2(0) end -- what was begun of it
  reaper.UpdateArrange()
  if not done then
    return nil, type(problem) == "table" and problem.sentence or tostring(problem)
  end
  reaper.Main_OnCommand(BUILD_MISSING_PEAKS, 0)
  return true
end

---------------------------------------------------------------------------------------------------------------------
-- the poller

local function handle(message)
  local address = message[1]
  if address == "/segue/daw/take" then
    local fields = lib.arrived(message)
    local done, problem = lib.insert(fields)
    if done then
      lib.post(lib.line("/segue/daw/imported", fields.send))
    else
      lib.post(lib.line("/segue/daw/refused", fields.send, problem))
    end
  elseif address == "/segue/daw/grabbing" then
    local sent, problem = lib.extend("end", message[2] == 1)
    if not sent then lib.say(problem) end
  elseif address == "/segue/fail" then
    lib.say("Segue: " .. tostring(message[5]))
  end
end

-- One look: says that REAPER is here, and does what Segue has sent. Returns a sentence once no Segue runs.
function lib.look(state)
  local now = reaper.time_precise()
  if now >= (state.next_sign or 0) then
    state.next_sign = now + lib.HERE_SECONDS
    local sign = lib.folder() .. "/to_segue/here.msg"
    if not lib.exists(sign) then
      state.unheard_since = now
      local _, problem = lib.post(lib.line("/segue/daw/here", "reaper", reaper.GetAppVersion()), "here")
      if problem then return problem end
    elseif now - (state.unheard_since or now) > lib.DEAF_SECONDS and not state.deaf then
      state.deaf = true
      if state.letter then os.remove(state.letter) end -- so that it does not surprise anybody later
      if state.letter then return "No Segue runs; start it with: segue serve" end
    end
    if not lib.exists(sign) then state.deaf = false end
    reaper.SetExtState(lib.SECTION, "looking", string.format("%.3f", now), false)
  end
  for _, message in ipairs(lib.take()) do handle(message) end
  return nil
end

-- Whether another script looks already.
function lib.somebody_looks()
  local seen = tonumber(reaper.GetExtState(lib.SECTION, "looking"))
  return seen ~= nil and math.abs(reaper.time_precise() - seen) < 2 * lib.HERE_SECONDS
end

-- Looks until REAPER ends. `letter`: one that has just been left, to be taken back if no Segue runs.
function lib.run(letter)
  local state = { letter = letter }
  local function step()
    local problem = lib.look(state)
    if problem then
      lib.say(problem)
      if state.letter then return end -- (the next action begins anew)
    end
    reaper.defer(step)
  end
  reaper.atexit(function() reaper.DeleteExtState(lib.SECTION, "looking", false) end)
  step()
end

return lib
