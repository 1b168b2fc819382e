"""What `segue doctor` looks at. Every check answers; none raises, hangs, or loads torch into this process.

Things that can hang or print noise (PortAudio, MIDI, model runtimes) are asked in short-lived child processes.
"""
