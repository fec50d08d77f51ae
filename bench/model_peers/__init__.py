"""One run time for models each, run by `bench.models` in a process of its own.

Guards: nothing here but `ours.py` and `made.py` imports PocketHive: peers live in an
environment that has none of it.
"""
