ardour {
  ["type"] = "EditorAction",
  name = "Segue: extend region",
  author = "Segue",
  license = "MIT",
  description = [[Segue continues the selected audio region, and its takes come in on a track of their own, behind it (with the hook 'Segue: takes').]]
}

function icon (params) return function (ctx, width, height, fg)
  local wh = math.min (width, height)
  ctx:set_source_rgba (ARDOUR.LuaAPI.color_to_rgba (fg))
  ctx:rectangle (wh * 0.15, wh * 0.35, wh * 0.3, wh * 0.3)
  ctx:fill ()
  ctx:rectangle (wh * 0.55, wh * 0.35, wh * 0.3, wh * 0.3)
  ctx:stroke ()
end end

function factory (params) return function ()
  local port = tonumber (os.getenv ("SEGUE_PORT") or "") or 19770

  local function say (sentence)
    LuaDialog.Message ("Segue", sentence, LuaDialog.MessageType.Info, LuaDialog.ButtonType.Close):run ()
  end

  local function samples (time) -- 7.x and later have times, 6.x plain numbers
    if type (time) == "number" then return time end
    return time:samples ()
  end

  local selected, region = 0, nil
  for r in Editor:get_selection ().regions:regionlist ():iter () do
    selected = selected + 1
    region = r
  end
  if selected ~= 1 then
    say (string.format ("Select one audio region to extend; %d are selected.", selected))
    return
  end
  local audio = region:to_audioregion ()
  if audio:isnil () then
    say ("The selected region is not audio; bounce it first, then extend it.")
    return
  end
  local source = region:source (0):to_filesource ()
  if source:isnil () then
    say ("The selected region has no file; bounce it first, then extend it.")
    return
  end

  local rate = Session:nominal_sample_rate ()
  local begins, start, length = samples (region:position ()), samples (region:start ()), samples (region:length ())
  local known, bpm = pcall (function ()
    return Temporal.TempoMap.read ():quarters_per_minute_at (region:position ())
  end)
  local mark = string.format ("sample=%d;rate=%d", begins + length, rate)
  ARDOUR.LuaOSC.Address (string.format ("osc.udp://127.0.0.1:%d", port)):send (
    "/segue/daw/prime", "ssddddsi", "ardour", source:path (), start / rate, length / rate, known and bpm or 0.0,
    (begins + length) / rate, mark, 1)
end end
