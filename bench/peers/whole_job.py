"""The whole job in Python, as its users do it: ONNX file -> PyTorch weights -> EUPMU -> ONNX file -> both files evaluated in ONNX Runtime.

The same figures as `onnx-unlearn unlearn --test`: accuracies on all three sets and the field's membership attack (scikit-learn's SVM on the
confidence of the true label), before and after. Only models of Conv, Relu, Add, GlobalAveragePool, Flatten and Gemm, which is what ResNets are.
The last argument says on which rows the second forward pass runs, see pytorch.py.
Usage: whole_job.py MODEL.onnx FORGET.npz RETAIN.npz TEST.npz OUT.onnx THREADS EPOCHS all|retained
"""

import json
import sys
import time

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper
from sklearn.svm import SVC

path, forget_path, retain_path, test_path, out, threads, epochs, second = sys.argv[1:9]
started = time.perf_counter()
torch.set_num_threads(int(threads))
torch.manual_seed(0)
MEAN, STD = np.float32([0.4914, 0.4822, 0.4465]), np.float32([0.2470, 0.2435, 0.2616])


def load(file):
    data = np.load(file)
    x = (data["x"].astype(np.float32) / 255 - MEAN[:, None, None]) / STD[:, None, None]
    return torch.from_numpy(x).contiguous(memory_format=torch.channels_last), torch.from_numpy(data["y"].astype(np.int64))


forget, retain, test = load(forget_path), load(retain_path), load(test_path)
model = onnx.load(path)
weights = {
    i.name: torch.nn.Parameter(torch.from_numpy(numpy_helper.to_array(i).copy()).contiguous(memory_format=torch.channels_last if len(i.dims) == 4 else torch.contiguous_format))
    for i in model.graph.initializer
}
nodes = [(n.op_type, list(n.input), n.output[0], {a.name: helper.get_attribute_value(a) for a in n.attribute}) for n in model.graph.node]
source, target = model.graph.input[0].name, model.graph.output[0].name


def forward(x):
    values = {**weights, source: x}
    for op, names, output, a in nodes:
        v = [values[name] for name in names]
        if op == "Conv":
            values[output] = F.conv2d(v[0], v[1], v[2], a["strides"], a["pads"][:2], a["dilations"], a["group"])
        elif op == "Relu":
            values[output] = F.relu(v[0])
        elif op == "Add":
            values[output] = v[0] + v[1]
        elif op == "GlobalAveragePool":
            values[output] = F.adaptive_avg_pool2d(v[0], 1)
        elif op == "Flatten":
            values[output] = torch.flatten(v[0], 1)
        elif op == "Gemm":
            values[output] = F.linear(v[0], v[1], v[2])
        else:
            raise ValueError(f"the peer does not know {op}")
    return values[target]


def evaluate(file):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    session = onnxruntime.InferenceSession(file, options)

    def probabilities(x):
        logits = [session.run([target], {source: np.ascontiguousarray(x[i : i + 250].numpy())})[0] for i in range(0, len(x), 250)]
        return torch.softmax(torch.from_numpy(np.concatenate(logits)), 1).numpy()

    answers = [probabilities(x) for x, _ in (forget, retain, test)]
    accuracy = [float((p.argmax(1) == y.numpy()).mean()) for p, (_, y) in zip(answers, (forget, retain, test))]
    confidence = [p[np.arange(len(p)), y.numpy()][:, None] for p, (_, y) in zip(answers, (forget, retain, test))]
    count = min(len(confidence[1]), len(confidence[2]))
    members = confidence[1][np.random.default_rng(0).permutation(len(confidence[1]))[:count]]
    others = confidence[2][:count]
    attack = SVC(C=3, gamma="auto").fit(np.concatenate([others, members]), np.repeat([0, 1], count))
    return [*accuracy, float((attack.predict(confidence[0]) == 0).mean())]


before = evaluate(path)
x, y = torch.cat([forget[0], retain[0]]), torch.cat([forget[1], retain[1]])
forgets = torch.arange(len(y)) < len(forget[1])
optimizer = torch.optim.SGD(weights.values(), lr=3e-3, momentum=0.9, weight_decay=5e-4)
dual = torch.zeros((), requires_grad=True)
dual_optimizer = torch.optim.Adam([dual], lr=1.0, weight_decay=0.01)


def sides(logits, labels, mask):
    loss = F.cross_entropy(logits, labels, reduction="none")
    return loss[mask].sum() / len(labels), loss[~mask].sum() / len(labels)


for _ in range(int(epochs)):
    labels = torch.where(forgets, torch.randint(0, 10, y.shape), y)
    for rows in torch.randperm(len(y)).split(128):
        batch, wanted, mask = x[rows], labels[rows], forgets[rows]
        lam = max(float(dual.detach()), 0.0)
        f, r = sides(forward(batch), wanted, mask)
        optimizer.zero_grad()
        (torch.log(f + 1e-8) + lam * torch.log(r + 1e-8)).backward()
        optimizer.step()
        with torch.inference_mode():
            if second == "all":
                _, after = sides(forward(batch), wanted, mask)
            else:
                after = F.cross_entropy(forward(batch[~mask]), wanted[~mask], reduction="none").sum() / len(rows)
        dual.grad = -(torch.log(after + 1e-8) - torch.log(r.detach() + 1e-8) + 0.01).clone()
        dual_optimizer.step()

for initializer in model.graph.initializer:
    value = weights[initializer.name].detach().contiguous().numpy()
    initializer.CopyFrom(numpy_helper.from_array(value, initializer.name))
onnx.checker.check_model(model)
onnx.save(model, out)
print(json.dumps({"before": before, "after": evaluate(out), "seconds": time.perf_counter() - started}))
