"""`python -m pykvm`: the command."""

from pykvm.cli import main

raise SystemExit(main())
