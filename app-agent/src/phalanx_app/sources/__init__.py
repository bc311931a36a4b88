"""Where untrusted data enters: `wsgi` and `asgi` for any framework, `frameworks` for what frameworks make of it, `context` for threads, `messages` for queues and RPC."""
