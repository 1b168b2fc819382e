"""Named styles and the factory library."""
