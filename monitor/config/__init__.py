"""Configuration: the schema of `plumbline.yaml`, loading, and error messages.

`load.load` is the entry point. It reads the file and the environment into a `draft.Draft`,
validates it as a `schema.Config`, and raises one `draft.ConfigError` with all problems.
"""
