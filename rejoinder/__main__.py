"""`python -m rejoinder`: the same as the `rejoinder` command."""

from rejoinder.commands import main

if __name__ == "__main__":
    main()
