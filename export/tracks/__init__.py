"""Takes as tracks: finished as music (:mod:`export.tracks.finishing`) and written for other programs.

What can be written is listed in :mod:`export.tracks.targets`, which loads nothing until something is.
"""
