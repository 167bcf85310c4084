"""`python -m alfred`: the command line, where no script of it is on the path."""

from alfred.cli import main

if __name__ == "__main__":
    main()
