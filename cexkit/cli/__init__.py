"""The command line, `cexkit …`."""
