"""Takes as projects of other programs: one sheet of what lies where, and writers that put it down.

:mod:`export.projects.arrange` makes a :class:`~export.projects.sheet.Sheet` of takes; ``dawproject``, ``reaper``,
``tempo`` and ``folder`` write it.
"""
