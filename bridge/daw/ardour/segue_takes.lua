ardour {
  ["type"] = "EditorHook",
  name = "Segue: takes",
  author = "Segue",
  license = "MIT",
  description = [[Brings in the takes that Segue sends, each on a track of its own, behind the region that it continues or on the next bar.]]
}

function signals ()
  return LuaSignal.Set ():add ({ [LuaSignal.LuaTimerDS] = true })
end

function factory (params)
  local home = os.getenv ("USERPROFILE") or os.getenv ("HOME") or ""
  local folder = (os.getenv ("SEGUE_DAW") or home:gsub ("\\", "/") .. "/.segue/daw") .. "/ardour"
  local escapes = { ["\\"] = "\\\\", ["\t"] = "\\t", ["\n"] = "\\n", ["\r"] = "\\r" }
  local plain = { ["\\\\"] = "\\", ["\\t"] = "\t", ["\\n"] = "\n", ["\\r"] = "\r" }
  local letters, next_sign = 0, 0

  local function text (value) return "s" .. value:gsub ("[\\\t\n\r]", escapes) end

  -- Leaves a letter for Segue, under this name or one of its own (bridge/daw/README.md).
  local function post (line, name)
    letters = letters + 1
    local path = string.format ("%s/to_segue/%s.msg", folder, name or string.format ("%d-%06d", os.time (), letters))
    local file = io.open (path .. ".part", "wb")
    if not file then return end -- nobody has run: segue daw install ardour
    file:write (line .. "\n")
    file:close ()
    os.remove (path)
    os.rename (path .. ".part", path)
  end

  -- The letter from Segue, taken, as a list of lists of words; an empty one if there is none.
  local function take ()
    local mine = folder .. "/from_segue.read"
    os.remove (mine)
    if not os.rename (folder .. "/from_segue", mine) then return {} end
    local file = io.open (mine, "rb")
    local messages = {}
    for line in (file:read ("a") or ""):gmatch ("[^\n]+") do
      local words = {}
      for part in line:gmatch ("[^\t]+") do
        if #words == 0 then
          words[1] = part
        elseif part:sub (1, 1) == "s" then
          words[#words + 1] = part:sub (2):gsub ("\\.", plain)
        else
          words[#words + 1] = tonumber (part:sub (2))
        end
      end
      messages[#messages + 1] = words
    end
    file:close ()
    os.remove (mine)
    return messages
  end

  -- The playhead, or the next bar line behind it.
  local function next_bar ()
    local now = Session:transport_sample ()
    local known, at = pcall (function ()
      local map, here = Temporal.TempoMap.read (), Temporal.timepos_t (now)
      local bbt, meter = map:bbt_at (here), map:meter_at (here)
      local passed = bbt.beats - 1 + bbt.ticks / 1920
      if passed < 0.001 then return now end
      local quarters = (meter:divisions_per_bar () - passed) * 4 / meter:note_value ()
      local seconds = quarters * 60 / map:quarters_per_minute_at (here)
      return math.floor (now + seconds * Session:nominal_sample_rate () + 0.5)
    end)
    return known and at or now
  end

  -- Where a take belongs, in samples of the session: behind what it continues, else on the next bar.
  local function place (after, mark)
    local sample, rate = mark:match ("sample=(%d+);rate=(%d+)")
    if not sample then return next_bar () end
    local now = Session:nominal_sample_rate ()
    return math.floor (tonumber (sample) * now / tonumber (rate) + after * now + 0.5)
  end

  local function tracks ()
    local count = 0
    for _ in Session:get_tracks ():iter () do count = count + 1 end
    return count
  end

  local function import (path, sample)
    local file = io.open (path, "rb")
    if not file then error ("the file '" .. path .. "' cannot be opened", 0) end
    file:close ()
    local before = tracks ()
    local files = C.StringVector ()
    files:push_back (path)
    local position = Temporal and Temporal.timepos_t (sample) or sample
    local first = { files, Editing.ImportDistinctFiles, Editing.ImportAsTrack, ARDOUR.SrcQuality.SrcBest,
      ARDOUR.MidiTrackNameSource.SMFTrackName, ARDOUR.MidiTempoMapDisposition.SMFTempoIgnore, position }
    -- 7.3 and later want a track and whether markers are made too; before that they knew neither.
    local done = pcall (function ()
      Editor:do_import (first[1], first[2], first[3], first[4], first[5], first[6], first[7],
        ARDOUR.PluginInfo (), ARDOUR.Track (), false)
    end)
    if not done then
      Editor:do_import (first[1], first[2], first[3], first[4], first[5], first[6], first[7], ARDOUR.PluginInfo ())
    end
    if tracks () == before then error ("the import was cancelled", 0) end
  end

  local function handle (message)
    if message[1] == "/segue/daw/take" then
      local send, path, after, mark = message[2], message[4], message[11], message[12] or ""
      local done, problem = pcall (function () import (path, place (after, mark)) end)
      if done then
        post (string.format ("/segue/daw/imported\ti%d", send))
      else
        post (string.format ("/segue/daw/refused\ti%d\t%s", send, text (tostring (problem))))
      end
    elseif message[1] == "/segue/fail" then
      LuaDialog.Message ("Segue", tostring (message[5]), LuaDialog.MessageType.Warning, LuaDialog.ButtonType.Close):run ()
    end
  end

  return function (signal, ref, ...) -- every 100 ms
    local now = os.time ()
    if now >= next_sign then
      next_sign = now + 2
      post ("/segue/daw/here\tsardour", "here")
    end
    for _, message in ipairs (take ()) do handle (message) end
  end
end
