"""``python -m cexkit.cli``: the command line without its entry point."""

from cexkit.cli.commands import main

if __name__ == "__main__":
    main()
