"""The audio process: it plays rings on a device, and the bridge watches over it (DESIGN.md §2)."""
