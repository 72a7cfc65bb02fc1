"""`python -m gristmill.cli`."""

from gristmill.cli import main

if __name__ == "__main__":
    main()
