"""Takes and models written for other programs."""
