"""What infer adds to the command line: `i2p export model`."""

from __future__ import annotations

from jobs.runtime.commands import Export

MODEL = Export(
    name="model",
    about="the trained model as a folder that predicts without the run",
    write="jobs.infer.model_export:write",
    extras="infer",
)
