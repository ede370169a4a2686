"""Every label, annotation and condition that the controller writes or looks at."""

from __future__ import annotations

RUN = "image-to-prompts/run"
STORE = "image-to-prompts/store"  # the store's id (its store.json), else digits of its address
STAGE = "image-to-prompts/stage"
GENERATION = "image-to-prompts/generation"  # the first Job of a stage is 1; each next one makes what is missing
WORK = "image-to-prompts/work"  # digits of everything that shapes the Job, but for how much of it is left to do
INVOCATION = "image-to-prompts/invocation"  # which call of `i2p run` submitted the Job

APP = "app.kubernetes.io/name"
APP_NAME = "image-to-prompts"
COMPONENT = "app.kubernetes.io/component"
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "i2p"  # also the field manager of server-side apply

QUEUE = "kueue.x-k8s.io/queue-name"
JOB_NAME = "batch.kubernetes.io/job-name"
CONTROLLER_UID = "batch.kubernetes.io/controller-uid"  # of the Job that a Pod is of
INDEX = "batch.kubernetes.io/job-completion-index"
SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
HOSTNAME = "kubernetes.io/hostname"

DISRUPTED = "DisruptionTarget"  # condition of a Pod that was preempted, evicted, drained or lost with its node
COMPLETE = "Complete"  # final conditions of a Job
FAILED = "Failed"
SUSPENDED = "Suspended"

CONTAINER = "worker"
