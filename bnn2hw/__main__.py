"""The command line as `python -m bnn2hw`, for environments whose scripts are not on the path."""

from __future__ import annotations

from bnn2hw.cli.main import main

if __name__ == "__main__":
    main(prog_name="bnn2hw")
