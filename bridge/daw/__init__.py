"""Segue inside DAWs: scripts that run there, and how they are talked to (README.md here)."""
