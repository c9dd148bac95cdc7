"""`python -m acclimate`: the command line where its script is not on the path."""

from acclimate.cli import main

if __name__ == "__main__":
    main()
