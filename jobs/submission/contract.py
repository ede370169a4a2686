"""What submission reads and leaves: one file of all predictions."""

from __future__ import annotations

from jobs.contract.declaration import Access, Contract, File, Inputs
from jobs.infer.contract import Predicted
from jobs.shards.dataset import Dataset


class SubmissionInputs(Inputs):
    """The predictions."""

    predicted: Predicted[Dataset]


class Submitted(Contract[Access], stage="submission"):
    """`imgId_eId,val`, a row for each image and dimension."""

    submission = File("csv", export="submission.csv")
