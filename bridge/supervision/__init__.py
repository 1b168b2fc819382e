"""Starting, watching and replacing the engine process (DESIGN.md §2)."""
