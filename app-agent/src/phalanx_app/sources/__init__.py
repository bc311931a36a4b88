"""Where untrusted data enters.

`wsgi` and `asgi` serve any framework, the modules named after frameworks add what these make of a request, `special` has threads, queues, RPC and paths.
"""
