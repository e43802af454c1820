"""Writes loss and gradients of the first training step of the bundle in the working directory; run by test_parallel.

python first_step.py OUTPUT BATCH_SIZE                                   one process
torchrun --nproc_per_node 2 first_step.py OUTPUT BATCH_SIZE              gradients averaged over two
"""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from monai.bundle import ConfigWorkflow

output, batch_size = Path(sys.argv[1]), int(sys.argv[2])
configs = ["configs/train.json"] + (["configs/multi_gpu_train.json"] if "RANK" in os.environ else [])
flow = ConfigWorkflow(
    configs,
    workflow_type="train",
    logging_file=False,
    **{"cases#synthesis#subjects": 12, "epochs": 1, "epoch_length": 2, "roi_size": [16, 32, 16]},
    batch_size=batch_size,
    output_dir=str(output),
)
sys.path.insert(0, os.getcwd())
flow.initialize()
network, trainer = (flow.parser.get_parsed_content(id) for id in ("network", "train::trainer"))
batch = next(iter(trainer.data_loader))
network.train()
inputs, targets = trainer.prepare_batch(batch, "cpu", False)
loss = trainer.loss_function(network(inputs), targets)
loss.backward()
loss = loss.detach()
if dist.is_initialized():
    dist.all_reduce(loss)
    loss /= dist.get_world_size()
if int(os.environ.get("RANK", 0)) == 0:
    learning = [(name.removeprefix("module."), p) for name, p in network.named_parameters() if p.requires_grad]
    gradients = {name: p.grad.clone() for name, p in learning}
    torch.save(
        {"loss": loss.as_subclass(torch.Tensor), "gradients": gradients, "draws": batch["draw"]},
        output / f"first_{batch_size}.pt",
    )
network.zero_grad()
flow.run()
flow.finalize()
