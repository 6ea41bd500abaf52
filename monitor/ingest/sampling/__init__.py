"""Drawing records: ids as examples for events, and whole records as samples for judging."""
