"""``python -m demo``: the whole command line, the page among its commands."""

from demo.command import main

if __name__ == "__main__":
    main()
