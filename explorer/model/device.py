"""Where the model runs: the device, its precision and how many frames fit at once; chosen by itself, said in doctor."""

from __future__ import annotations

import importlib.metadata
from contextlib import suppress

import torch

from explorer.records import ExplorerError

BYTES_A_FRAME = 64 << 20  # activations of one 224 px frame of a base ViT in half precision, with room to spare


def pick_device(wish: str = "auto") -> torch.device:
    """CUDA, else Apple's MPS, else the CPU; or the one wished for.

    Raises:
        ExplorerError: the wished device is not there.
    """
    if wish == "auto":
        return torch.device(
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        device = torch.device(wish)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ExplorerError(f"device {wish!r} cannot be used: {reason}; choose auto or cpu") from error
    return device


def half_precision(device: torch.device) -> torch.dtype:
    """float16 on a GPU, float32 on a CPU, where halves are slower."""
    return torch.float32 if device.type == "cpu" else torch.float16


def batch_size(device: torch.device, on_cpu: int) -> int:
    """Frames a forward pass: `on_cpu` on a CPU, else as many as half the free memory holds, at most 512."""
    if device.type != "cuda":
        return on_cpu
    free, _ = torch.cuda.mem_get_info(device)
    return int(max(8, min(512, free // 2 // BYTES_A_FRAME)))


def planned_engine(device: torch.device) -> str:
    """Who will encode frames there, told without loading it."""
    with suppress(importlib.metadata.PackageNotFoundError):
        if device.type == "cpu":
            return f"OpenVINO {importlib.metadata.version('openvino')}"
    return "torch"


def describe(device: torch.device, *, engine: str = "") -> str:
    """One line for the page and doctor: what runs the model, at which precision, and who encodes frames.

    Args:
        device: of the model.
        engine: who does encode them, where that is known by now.
    """
    threads = torch.get_num_threads()
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else {"mps": "Apple GPU"}.get(device.type, f"CPU, {threads} thread{'s' * (threads != 1)}")
    )
    precision = "half" if half_precision(device) == torch.float16 else "single"
    return f"{name}, {precision} precision; frames encoded by {engine or planned_engine(device)}"
