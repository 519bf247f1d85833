"""The one place that knows how Flower's SuperLink and SuperNode are started and spoken to.

Flower brings messages, TLS and node authentication. It never runs code of ours or of others: SuperLink and SuperNode
are started in process isolation, so a run is a queue of messages, and each side's own installed Atoll serves it. What
is in a Flower App Bundle is never unpacked.
"""
