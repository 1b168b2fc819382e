"""A folder of takes as a whole: its append-only index, ids, marks, trash and undo.

The folders of the takes are the truth (:mod:`engine.take`); ``index.jsonl`` beside them is a history, and what a list
shows of each take without opening it. Every take that is announced, marked, thrown away or brought back is one line
(:mod:`engine.shelf.lines`): appended in one write, fsynced, under a lock that all sessions on the folder share. A line
that a kill or a full disk tore is passed over, and what it said is found again in the folders; so is everything when
the index is deleted, or when something was changed without it (:mod:`engine.shelf.looking`).

Numbers are those that folders end with (``..._A07`` is take 7), where no other take has that number already.

Nothing here loads numpy, pydantic or a model to read: a thousand takes are listed at once.
"""
