"""``python -m pathosynth``: the command line, for where its script is not on the path."""

from pathosynth.cli import main

if __name__ == "__main__":
    main()
