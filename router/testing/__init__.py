"""For authors of providers: a provider that plays a script, and the promises that all must keep.

Public and shipped with the router; nothing in the router imports it.
"""
