"""Which character is sung when: read from a top prior's attention to the lyrics (facts/jukebox.md §5.4)."""
