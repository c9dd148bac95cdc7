"""Two processes of one process group on this machine."""

import multiprocessing
import os
import sys

import torch
from torch import distributed

from acclimate.nn.replicas import current_replica


def in_two_processes(folder, work, *given):
    """What ``work(*given)`` returns in each of two processes, as a list by rank.

    Args:
        folder: Empty; the processes meet and leave what they found in it.
        work: A function of a module; ``current_replica`` tells it which process it is in.
        given: Its arguments.
    """
    # a fork has torch already, but where there is a GPU its copy of autograd is refused
    context = multiprocessing.get_context("spawn" if torch.cuda.is_available() else "fork")
    started = [context.Process(target=_one_of_two, args=(rank, folder, work, given)) for rank in (0, 1)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0, 0]
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def _one_of_two(rank, folder, work, given):
    torch.set_num_threads(1)
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    assert current_replica() == (rank, 2)
    torch.save(work(*given), folder / f"{rank}.pt")
    distributed.destroy_process_group()
