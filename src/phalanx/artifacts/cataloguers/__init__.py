"""Cataloguers: pure functions from the bytes of one file to the components it tells of. ``registry`` knows which file is whose."""
