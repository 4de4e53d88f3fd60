"""One file per command, in the order of the flow."""
