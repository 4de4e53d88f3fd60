"""One invocation: its configuration, its record on disk and the errors it may end with."""
