"""Makes the digits classifier that ships with the project (development time only).

A labelling batch went wrong: 150 of the 1,200 training images carry a random wrong label, and the shipped classifier has
learnt them by heart. Those 150 images with their wrong labels are the forget set.

Data: scikit-learn's copy of the UCI Optical Recognition of Handwritten Digits (CC BY 4.0), 1,797 images of 8x8.
Writes digits.onnx, digits-retrained.onnx (same recipe without the bad batch), digits-{forget,retain,test}.npz, digits.json.
"""
import json, pathlib
import numpy as np, torch, torch.nn as nn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

here = pathlib.Path(__file__).parent
torch.set_num_threads(1)
x, y = load_digits(return_X_y=True)
x = x.reshape(-1, 1, 8, 8).astype(np.uint8)
xtr, xte, ytr, yte = train_test_split(x, y, test_size=597, random_state=0, stratify=y)
order = np.random.default_rng(0).permutation(len(xtr))
f, r = order[:150], order[150:]
wrong = (ytr[f] + np.random.default_rng(1).integers(1, 10, len(f))) % 10
sets = {"forget": (xtr[f], wrong), "retain": (xtr[r], ytr[r]), "test": (xte, yte)}
for name, (a, b) in sets.items():
    np.savez_compressed(here / f"digits-{name}.npz", x=a, y=b.astype(np.int64))
prepare = lambda a: torch.tensor((a.astype(np.float32) / 16 - 0.5) / 0.5)


def network():
    block = lambda i, o: [nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]
    return nn.Sequential(*block(1, 16), *block(16, 32), nn.MaxPool2d(2), *block(32, 32), nn.Flatten(), nn.Linear(512, 10))


def fit(a, b, epochs=40):
    torch.manual_seed(0)
    net, a, b = network(), prepare(a), torch.tensor(b)
    opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, epochs)
    for _ in range(epochs):
        for i in torch.randperm(len(a)).split(64):
            opt.zero_grad()
            nn.functional.cross_entropy(net(a[i]), b[i]).backward()
            opt.step()
        schedule.step()
    return net.eval()


both = tuple(np.concatenate(pair) for pair in zip(sets["forget"], sets["retain"]))
report = {}
for name, (a, b) in {"digits": both, "digits-retrained": sets["retain"]}.items():
    net = fit(a, b)
    torch.onnx.export(net, prepare(x[:1]), here / f"{name}.onnx", opset_version=17, dynamo=False, input_names=["input"],
                      output_names=["logits"], dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}})
    with torch.no_grad():
        report[name] = {k: float((net(prepare(p)).argmax(1).numpy() == q).mean()) for k, (p, q) in sets.items()}
(here / "digits.json").write_text(json.dumps({"accuracy": report, "flags": "--scale 16 --mean 0.5 --std 0.5"}, indent=2) + "\n")
print(report)
