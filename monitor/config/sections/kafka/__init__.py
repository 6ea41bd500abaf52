"""The section `kafka`: topics and the settings of the client."""
