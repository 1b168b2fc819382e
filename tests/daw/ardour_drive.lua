ardour { ["type"] = "SessionInit", name = "SegueTest", description = [[Runs Segue's hook and action as Ardour would.]] }

function factory () return function ()
  local out = assert (io.open (os.getenv ("SEGUE_TEST_LOG"), "w"))
  local scripts = os.getenv ("SEGUE_TEST_SCRIPTS")

  local function load (name)
    local scope = setmetatable ({ ardour = function () end }, { __index = _G })
    assert (loadfile (scripts .. "/" .. name, "t", scope)) ()
    return scope
  end

  local hook = load ("segue_takes.lua").factory ()
  local function tracks ()
    local found = {}
    for route in Session:get_tracks ():iter () do found[#found + 1] = route:to_track () end
    return found
  end
  local function look_until (count) -- as LuaTimerDS does, for at most a minute
    for _ = 1, 600 do
      hook (nil, nil)
      if #tracks () >= count then hook (nil, nil) return end
      ARDOUR.LuaAPI.usleep (100000)
    end
    error ("no take came")
  end

  local function test ()
    Session:request_locate (44100, false, ARDOUR.LocateTransportDisposition.MustStop,
      ARDOUR.TransportRequestSource.TRS_UI)
    ARDOUR.LuaAPI.usleep (1000000)
    look_until (1)
    local region
    for found in tracks ()[1]:playlist ():region_list ():iter () do region = found end
    local selection = ArdourUI.SelectionList ()
    selection:push_back (Editor:regionview_from_region (region))
    Editor:set_selection (selection, ArdourUI.SelectionOp.Set)
    load ("segue_extend.lua").factory () ()
    look_until (2)
    Session:save_state ("", false, false, false, false, false)
  end
  for _ = 1, 20 do ARDOUR.LuaAPI.usleep (50000) end
  local done, problem = pcall (test)
  out:write (done and "done" or tostring (problem), "\n")
  out:close ()
end end
