"""The sections of `plumbline.yaml`: their keys, types, defaults and checks."""
