"""Names of the files of a take, and of those beside the takes. What each holds: :mod:`engine.take`."""

REQUEST, PRIME, JOURNAL, AUDIO_PART = "request.json", "prime.wav", "journal", "audio.part"
CODES, CONTINUATION, TAKE = "codes.safetensors", "continuation.wav", "take.json"
LEADS = "leads.safetensors"  # only of takes whose windows were sampled side by side
MARKS = "marks.json"

INDEX, LOCK, TRASH = "index.jsonl", ".index.lock", ".trash"
