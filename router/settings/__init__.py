"""The YAML file as frozen structs.

`structs` says what may be written, `load` finds, reads and checks a file, `problems` names every
mistake in it, `schema` tells it to editors. `voices.yaml` holds the voice names that everybody
knows.
"""
