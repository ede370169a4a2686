"""Networks built without the weights that are loaded into them at once, which saves their memory and their making.

Only the values of parameters are left out. Everything else is computed as ever, since what is not stored (positions,
masks, filter kernels of Swin, EVA-02, MaxViT, DINOv3 and others) comes from nowhere else: on the `meta` device it gets
no values, or arbitrary ones, and a parameter that is there makes others of the same tower follow it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.utils import deterministic
from torch.utils._python_dispatch import TorchDispatchMode

_SMALL = 1 << 16  # numbers; smaller parameters often get memory in which another network's values still stand


class _NoWrites(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Skips what writes into the memory of parameters, so that the pages of large ones are never touched."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.parameters: dict[int, Tensor] = {}  # by address, and kept alive so that no other tensor can have it

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        written = args[0] if args and func._schema.is_mutable else None
        if isinstance(written, Tensor) and written.untyped_storage().data_ptr() in self.parameters:
            return written
        return func(*args, **(kwargs or {}))


@contextmanager
def empty_weights() -> Iterator[None]:
    """Let modules that this thread builds have parameters without values (small ones NaN), to be loaded next."""
    builder, no_writes = threading.get_ident(), _NoWrites()  # a hook is called for the modules of all threads

    def registered(_module: nn.Module, _name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None and threading.get_ident() == builder:
            if parameter.is_floating_point() and parameter.numel() <= _SMALL:
                parameter.detach().fill_(math.nan)
            no_writes.parameters[parameter.untyped_storage().data_ptr()] = parameter.detach()

    register: Callable[..., Any] = register_module_parameter_registration_hook
    hook, fill = register(registered), deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # 3.4 GB of convnext_xxlarge
    try:
        with no_writes:
            yield
    finally:
        deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        hook.remove()


def not_stored(network: nn.Module) -> dict[str, Tensor]:
    """The tensors that a state dict leaves out, by name; whoever loads one has to compute them."""
    stored = network.state_dict().keys()
    tensors = {
        f"{path}.{name}".removeprefix("."): value
        for path, module in network.named_modules()
        for name, value in {**module._buffers, **vars(module)}.items()  # some are neither parameter nor buffer
        if isinstance(value, Tensor)
    }
    return {name: tensor for name, tensor in tensors.items() if name not in stored}
