"""A contact sheet of takes: everything at a glance, as a page with players or as a picture.

:mod:`export.sheet.cards` measures, :mod:`export.sheet.page` and :mod:`export.sheet.picture` show.
"""
