"""Trains the network step by step, and continues exactly where a checkpoint left off.

Several processes may train together (RANK, WORLD_SIZE, …, as jobs/runtime/gang or torchrun sets them): each takes
its share of every batch, gradients are averaged, and process 0 alone writes.
"""

from __future__ import annotations

import math
import os
import time
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.nn import functional

from jobs.compare_images.contract import Staying
from jobs.contract.samples import TRAIN
from jobs.errors import BadConfiguration, I2PError, PeerLost
from jobs.regressor.saved_model import encode_weights
from jobs.runtime import log
from jobs.runtime.device import prepare_torch
from jobs.runtime.gang.membership import Gang, join, translate_peer_errors
from jobs.runtime.stopping import Stopped
from jobs.runtime.task import Task, report_end
from jobs.shards.dataset import Writer
from jobs.train.batches import Batch, batches, steps_per_epoch
from jobs.train.checkpoints import Checkpoints
from jobs.train.contract import Curve, CurvePoint, Trained, TrainInputs
from jobs.train.learner import Learner, new_learner
from jobs.train.optimizer import set_rates
from jobs.train.order import seed_of_step
from jobs.train.stage import TrainParams

TrainTask = Task[TrainInputs, Trained[Writer]]


@translate_peer_errors()
def run(task: TrainTask, params: TrainParams) -> None:
    """Train the network unless it is trained already."""
    for unit in task.pending():
        gang = together(task, params)
        accelerator = prepare(params)
        checkpoints = Checkpoints(task.output, task.spec.fingerprint(unit))
        if accelerator.is_main_process:
            with task.writing(unit) as output:
                learner = train(task, params, accelerator, checkpoints)
                output.model.write(learner.regressor.architecture, safetensors=encode_weights(learner.result()))
                output.curve.write(curve_of(learner, params))
                output.stats.write(learner.curve[-1])
            if task.failures:  # the other processes wait in the middle of a step, and end when this one does
                return
            checkpoints.delete()
        else:
            train(task, params, accelerator, checkpoints)
        accelerator.wait_for_everyone()
        if gang:
            gang.leave()
        accelerator.end_training()


def together(task: TrainTask, params: TrainParams) -> Gang | None:
    """Meet the other processes of the gang, if this task is one's; raises I2PError when they do not come."""
    backend = "nccl" if params.device == "cuda" else "gloo"
    return join(backend=backend, lost=partial(report_end, task.diagnostics)) if task.gang else None


def prepare(params: TrainParams) -> Accelerator:
    """Device, arithmetic and processes; raises BadConfiguration when they do not go together."""
    if "RANK" in os.environ:
        os.environ["OMP_NUM_THREADS"] = str(params.threads)  # else accelerate sets as many as there are cores
    prepare_torch(params)
    if params.precision == "fp16" and params.device == "cpu":
        raise BadConfiguration("precision: fp16 needs `device: cuda`; on a CPU use bf16 or fp32")
    mixed_precision = "no" if params.precision == "fp32" else params.precision
    accelerator = Accelerator(cpu=params.device == "cpu", mixed_precision=mixed_precision)
    if params.batch_size % accelerator.num_processes:
        raise BadConfiguration(
            f"batch_size: {params.batch_size} images cannot be shared evenly by {accelerator.num_processes} processes"
        )
    return accelerator


def train(task: TrainTask, params: TrainParams, accelerator: Accelerator, checkpoints: Checkpoints) -> Learner:
    """Do the steps that are left.

    After saving a checkpoint, raises Stopped when this task was asked to stop, and PeerLost when another process was.
    """
    images = Staying(task.inputs.images.splits[TRAIN], task.inputs.compared)
    steps = params.epochs * steps_per_epoch(images, params)
    learner = new_learner(params, accelerator.device)
    restore(learner, accelerator, checkpoints)
    model, optimizer = wrap(learner, accelerator)
    model.train()
    task.stops_itself = True  # not before: meeting and loading end at once
    first, started = learner.step, time.monotonic()
    for batch in batches(
        images, params, first_step=first, process=accelerator.process_index, num_processes=accelerator.num_processes
    ):
        factor = set_rates(optimizer, params, step=learner.step, steps=steps)
        loss, stop = do_step(learner, model, optimizer, batch, params, accelerator, stop_asked=task.stop_asked)
        learner.losses.append(loss)
        if learner.step % params.curve_every == 0 or learner.step == steps:
            add_point(learner, params, factor * params.learning_rate)
        if accelerator.is_main_process:
            seconds = time.monotonic() - started
            done, rate = learner.step * params.batch_size, (learner.step - first) * params.batch_size / seconds
            log.progress(done, steps * params.batch_size, "images", loss=loss, images_per_second=round(rate, 1))
            if learner.step < steps and (stop or learner.step % params.checkpoint_every == 0):
                save(learner, accelerator, checkpoints)
        if stop and learner.step < steps:
            checkpoints.wait()
            accelerator.wait_for_everyone()
            goes_on = f"a retry goes on after step {learner.step} of {steps}"
            if task.stop_asked:
                raise Stopped(f"asked to stop by SIGTERM; {goes_on}")
            raise PeerLost(f"another process of the gang was asked to stop; {goes_on}")
    checkpoints.wait()
    return learner


def do_step(
    learner: Learner,
    model: nn.Module,
    optimizer: Any,
    batch: Batch,
    params: TrainParams,
    accelerator: Accelerator,
    *,
    stop_asked: bool,
) -> tuple[float, bool]:
    """One step of all processes; the mean loss over the whole batch, and whether any process was asked to stop.

    Raises BadConfiguration when the loss, or the gradient, is not a number.
    """
    torch.manual_seed(seed_of_step(params.seed, learner.step, accelerator.process_index))
    images = batch.images.to(accelerator.device, non_blocking=True)
    vectors = batch.vectors.to(accelerator.device, non_blocking=True)
    predicted = model(images)
    if batch.weights is not None:
        weights = batch.weights.to(accelerator.device, non_blocking=True)
        predicted.register_hook(lambda gradient: gradient * weights)  # for any loss, and its value stays comparable
    loss = learner.loss(predicted, vectors)
    accelerator.backward(loss)
    norm = accelerator.clip_grad_norm_(model.parameters(), params.max_gradient_norm or math.inf)
    cosine = functional.cosine_similarity(predicted.detach(), vectors).mean()
    found = torch.tensor([loss.item(), float(stop_asked), cosine.item()])
    if accelerator.num_processes > 1:
        found = accelerator.reduce(found.to(accelerator.device), reduction="mean").cpu()
    gradient_is_finite = params.precision == "fp16" or math.isfinite(float(norm))  # fp16's scaler skips such steps
    if not math.isfinite(found[0]) or not gradient_is_finite:
        raise BadConfiguration(
            f"training broke down at step {learner.step + 1}: loss {float(found[0])}, length of the "
            f"gradient {float(norm)}; lower learning_rate ({params.learning_rate}), warm up longer, "
            "or use more precision (bf16 rather than fp16, fp32 rather than bf16)"
        )
    optimizer.step()
    optimizer.zero_grad()
    if learner.average:
        learner.average.update(learner.regressor, learner.step)
    learner.step += 1
    learner.cosines.append(float(found[2]))
    return float(found[0]), bool(found[1] > 0)


def restore(learner: Learner, accelerator: Accelerator, checkpoints: Checkpoints) -> None:
    """Continue from the newest checkpoint if there is one; raises I2PError when processes found different ones."""
    if found := checkpoints.newest():
        tensors, state = found
        learner.restore(tensors, state)
        if accelerator.scaler is not None:
            accelerator.scaler.load_state_dict(state.scaler)
        log.note("continuing", step=learner.step)
    found_by_all = accelerator.gather(torch.tensor([learner.step], device=accelerator.device)).tolist()
    if len(set(found_by_all)) > 1:
        raise I2PError(f"the processes found checkpoints of different steps, {found_by_all}; a retry finds the same")


def save(learner: Learner, accelerator: Accelerator, checkpoints: Checkpoints) -> None:
    """Take a checkpoint, with the state of fp16's scaler."""
    scaler = {} if accelerator.scaler is None else accelerator.scaler.state_dict()
    checkpoints.save(learner.step, learner.tensors(), learner.state(scaler))


def wrap(learner: Learner, accelerator: Accelerator) -> tuple[nn.Module, Any]:
    """Network and optimizer as accelerate runs them: autocast, scaler, gradients averaged over processes."""
    if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
        learner.regressor = nn.SyncBatchNorm.convert_sync_batchnorm(learner.regressor)  # type: ignore[no-untyped-call]
    model, optimizer = accelerator.prepare(learner.regressor, learner.optimizer)
    return model, optimizer


def add_point(learner: Learner, params: TrainParams, learning_rate: float) -> None:
    """Add the means of losses and cosines since the last point to the curve."""
    loss = sum(learner.losses) / len(learner.losses)
    # What the cosine loss says already is not averaged apart: it might be rounded to other digits, and bytes change.
    cosine = 1 - loss if params.loss == "cosine" else sum(learner.cosines) / len(learner.cosines)
    learner.losses.clear()
    learner.cosines.clear()
    point = CurvePoint(
        step=learner.step,
        images=learner.step * params.batch_size,
        loss=round(loss, 6),
        cosine=round(cosine, 6),
        learning_rate=learning_rate,
    )
    learner.curve.append(point)


def curve_of(learner: Learner, params: TrainParams) -> Curve:
    """The learning curve."""
    return Curve(points=tuple(learner.curve), steps=learner.step, epochs=params.epochs, batch_size=params.batch_size)
