"""Where errors become sentences and exit codes, and nowhere else."""

from __future__ import annotations

import logging
import os
import sys
import warnings

import typer

from pipelines.cli.screen import say
from toolkit.offline import call_nobody

USER_ERROR = 2
INTERRUPTED = 130


def run(app: typer.Typer) -> None:
    """Run a command line; a :class:`HousevoiceError` becomes one message and exit code 2."""
    from toolkit.errors import HousevoiceError, Interrupted

    be_quiet()
    try:
        app()
    except HousevoiceError as error:
        say(error.message if isinstance(error, Interrupted) else f"Error: {error.message}")
        if error.hint:
            say(error.hint)
        sys.exit(INTERRUPTED if isinstance(error, Interrupted) else USER_ERROR)
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:  # what Typer makes of Ctrl-C
            say("Stopped. What was finished is kept; run the same command again to go on.")
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        import errno

        if error.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS):
            raise
        say(f"Error: {error.strerror}: {error.filename or 'while writing'}.")
        say("Free some room, or choose another place with `output` in bot.yaml. What was there before is kept.")
        sys.exit(USER_ERROR)


def be_quiet() -> None:
    """Keep libraries from calling home and from writing over the progress; set before any of them is imported."""
    call_nobody()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    # Threads that wait for each other in a busy loop slow a machine that does anything else many times over.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for name in ("torchao", "torch.utils._pytree"):  # where torchao is installed: of kernels for other machines
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)  # addressed to the callers inside the libraries
