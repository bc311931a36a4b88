"""Use-cases: what API, console and CLI call, and nothing else holds product logic above the stores.

Every public method is a coroutine and takes the :class:`~phalanx.identity.actor.Actor` who asks as its first argument; methods that change something
write the operators' trail. Lists answer pages with keyset cursors and capped counts, never whole tables. Errors are
:class:`~phalanx.errors.PhalanxError`. :class:`~phalanx.services.hub.Services` is all of them together, as the application wires them.
"""
