"""The pre-trained backbone of a packed bundle under a head of your own, by MONAI alone: ssl3d is not needed.

python docs/examples/backbone_without_ssl3d.py gvsl_pretraining_v0.1.0.zip DATA  # a folder with imagesTr and labelsTr
"""

import sys
import zipfile
from pathlib import Path

import torch
from monai import transforms as mt
from monai.bundle import load
from monai.data import DataLoader, Dataset
from monai.losses import DiceCELoss
from monai.metrics import DiceMetric

torch.manual_seed(0)
file, data, size, both = Path(sys.argv[1]), Path(sys.argv[2]), (32, 48, 32), ["image", "label"]
zipfile.ZipFile(file).extractall(file.parent)
torchscript, *_ = load(file.name.split("_v")[0], bundle_dir=file.parent, load_ts_module=True, device="cpu")
backbone, head = torchscript.backbone.train(), torch.nn.Conv3d(16, 2, kernel_size=1)

prepare = [mt.LoadImaged(both, ensure_channel_first=True), mt.Orientationd(both, "RAS", labels=None)]
prepare += [mt.Spacingd(both, (1, 1, 1), mode=("bilinear", "nearest")), mt.AsDiscreted("label", threshold=0.5)]
prepare += [mt.ScaleIntensityRangePercentilesd("image", 1, 99, 0, 1, clip=True), mt.SpatialPadd(both, size)]
views = mt.Compose([*prepare, mt.RandSpatialCropd(both, size, random_size=False)])
items = [{"image": scan, "label": data / "labelsTr" / scan.name} for scan in sorted(data.glob("imagesTr/*.nii.gz"))]
loader = DataLoader(Dataset(items[1:], views.set_random_state(0)), batch_size=1, shuffle=True)
optimizer = torch.optim.AdamW([*backbone.parameters(), *head.parameters()], lr=0.01)
for epoch in range(12):
    for batch in loader:
        logits = head(backbone(batch["image"].as_tensor()).decoder[-1])  # TorchScript takes no MetaTensor
        loss = DiceCELoss(to_onehot_y=True, softmax=True)(logits, batch["label"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch + 1}: loss {loss:.2f}")
case, dice = mt.Compose(prepare)(items[0]), DiceMetric(include_background=False, num_classes=2)
dice(head(backbone(case["image"][None].as_tensor()).decoder[-1]).argmax(1, keepdim=True), case["label"][None])
print(f"{items[0]['image'].name}: Dice {dice.aggregate().item():.2f}")
