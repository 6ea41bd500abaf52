"""The data of pages and of the API, as typed values. Each function takes a connection."""
