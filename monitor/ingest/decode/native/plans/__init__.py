"""Native records written straight from the JSON documents of other formats, by a plan."""
