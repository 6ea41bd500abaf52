"""The base class of sections, and the types of fields that several sections use."""
