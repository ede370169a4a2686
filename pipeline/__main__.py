"""The command line: `python -m pipeline`, also installed as `i2p`.

i2p run --preset demo                        run what is missing, in order
i2p run --preset mine.yaml --executor kubernetes --values images/built.yaml      the same as Jobs of a cluster
i2p plan --set generate-images.size=96       what a run would do, and why
i2p why embed                                why a stage is as it is, and its last failure
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from jobs.errors import OK, I2PError
from pipeline.cli.call import Call
from pipeline.cli.parser import make_parser
from pipeline.cli.terminal import print_error
from pipeline.configuration.run_config import load_config

INTERRUPTED = 130
_KEPT = "what is committed is kept, run again to go on"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code of jobs/errors.py."""
    args = make_parser().parse_args(arguments)
    try:
        if args.standalone:
            return int(args.standalone(args))
        short = {"run": args.run, "executor": args.executor}
        assignments = [*args.set, *(f"{name}={value}" for name, value in short.items() if value)]
        config = load_config(args.preset, assignments, args.values)
        command: Callable[[Call], int] = args.command
        return command(Call(args, config))
    except I2PError as error:
        print_error(f"i2p: {error}")
        return error.exit_code
    except BrokenPipeError:
        return OK
    except KeyboardInterrupt:
        print_error(f"i2p: interrupted; {'nothing was written' if args.standalone else _KEPT}")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
