"""Write loss and gradients of a bundle's first training step in float64, then train; run by test_parallel.

Run it in the folder of the bundle:

    python first_step.py OUTPUT BATCH_SIZE                 one process
    torchrun --nproc_per_node 2 first_step.py OUTPUT BATCH_SIZE    gradients averaged over two processes

The step is taken in float64, because kernels round differently on every processor and for every batch size. In float32
a low temperature magnifies these differences beyond any useful tolerance.
"""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from monai.bundle import ConfigWorkflow

output, batch_size = Path(sys.argv[1]), int(sys.argv[2])
configs = ["configs/train.json"] + (["configs/multi_gpu_train.json"] if "RANK" in os.environ else [])
sys.path.insert(0, os.getcwd())


def workflow(**overrides) -> ConfigWorkflow:
    settings = {"cases#synthesis#subjects": 12, "epochs": 1, "epoch_length": 2, "roi_size": [16, 32, 16]}
    settings |= {"batch_size": batch_size, "output_dir": str(output)}
    return ConfigWorkflow(configs, workflow_type="train", logging_file=False, **settings, **overrides)


def in_double(values):
    if isinstance(values, dict):
        return {key: in_double(value) for key, value in values.items()}
    return values.double() if isinstance(values, torch.Tensor) and values.is_floating_point() else values


flow = workflow()
flow.initialize()
batch = next(iter(flow.parser.get_parsed_content("train::dataloader")))
torch.set_default_dtype(torch.float64)  # the network is made in it, before it is wrapped for several processes
network, trainer = (flow.parser.get_parsed_content(id) for id in ("network", "train::trainer"))
network.train()
inputs, targets = trainer.prepare_batch(in_double(batch), "cpu", False)
loss = trainer.loss_function(network(in_double(inputs)), targets)
loss.backward()
loss = loss.detach()
if dist.is_initialized():
    dist.all_reduce(loss)
    loss /= dist.get_world_size()
if int(os.environ.get("RANK", 0)) == 0:
    learned = {name.removeprefix("module."): p for name, p in network.named_parameters() if p.grad is not None}
    gradients = {name: p.grad.clone() for name, p in learned.items()}
    torch.save(
        {"loss": loss.as_subclass(torch.Tensor), "gradients": gradients, "draws": batch["draw"]},
        output / f"first_{batch_size}.pt",
    )

torch.set_default_dtype(torch.float32)
flow = workflow(initialize=["$monai.utils.set_determinism(seed=@seed)"])  # the process group is there already
flow.initialize()
flow.run()
flow.finalize()
