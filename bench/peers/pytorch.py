"""The same EUPMU step in PyTorch, on the same weights: the yardstick of `npm run bench -- --peer PYTHON`.

Reads the model file that the benchmark wrote, runs it with torch.nn.functional (the kernels that nn.Module calls) and torch's autograd:
forward, one backward, SGD with momentum, and the second forward of the implicit method under torch.inference_mode.
Each line on stdin is a number of steps; each line on stdout answers with what they took.
The last argument says on which rows that second pass runs: the whole batch, as the authors' code does it, or those that its loss is taken from.
Usage: pytorch.py MODEL.onnx THREADS BATCH SAMPLE_SHAPE(comma separated) contiguous|channels_last all|retained
"""

import json
import math
import resource
import sys
import time

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper

path, threads, batch, sample, layout, rows = sys.argv[1:7]
torch.set_num_threads(int(threads))
torch.set_flush_denormal(True)
graph = onnx.load(path).graph
memory_format = torch.channels_last if layout == "channels_last" else torch.contiguous_format


def place(t):
    return t.contiguous(memory_format=memory_format) if t.dim() == 4 else t.contiguous()


constants, parameters = {}, {}
for initializer in graph.initializer:
    value = torch.from_numpy(numpy_helper.to_array(initializer).copy())
    frozen = not value.is_floating_point() or value.dim() == 0 or "running_" in initializer.name
    (constants if frozen else parameters)[initializer.name] = place(value)


def fused(nodes):
    """Product and bias as one F.linear, attention as one scaled_dot_product_attention: what PyTorch's own layers call."""
    maker = {output: i for i, (_, _, output, _) in enumerate(nodes)}
    gone, result = set(), list(nodes)

    def made(name, op):
        return maker[name] if name in maker and nodes[maker[name]][0] == op else None

    for i, (op, names, output, _) in enumerate(nodes):
        if op == "Add" and (product := made(names[0], "MatMul")) is not None and names[1] in parameters:
            x, w = nodes[product][1]
            if w in parameters:
                gone.add(product)
                result[i] = ("Linear", [x, w, names[1]], output, {})
        if op == "MatMul" and (softmax := made(names[0], "Softmax")) is not None:
            scaled = made(nodes[softmax][1][0], "Mul")
            scores = scaled is not None and made(nodes[scaled][1][0], "MatMul")
            if scores:
                gone.update([softmax, scaled, scores])
                result[i] = ("Attention", [*nodes[scores][1], names[1], nodes[scaled][1][1]], output, {})
    return [node for i, node in enumerate(result) if i not in gone]


nodes = fused([(n.op_type, list(n.input), n.output[0], {a.name: helper.get_attribute_value(a) for a in n.attribute}) for n in graph.node])


def forward(weights, x):
    values = {**constants, **weights, "input": x}
    for op, names, output, a in nodes:
        v = [values[name] for name in names]
        if op == "Conv":
            pads = a["pads"]
            y = F.conv2d(v[0], v[1], v[2] if len(v) > 2 else None, a["strides"], pads[: len(pads) // 2], a["dilations"], a["group"])
        elif op == "BatchNormalization":
            y = F.batch_norm(v[0], v[3], v[4], v[1], v[2], False, 0.1, a["epsilon"])
        elif op == "Relu":
            y = F.relu(v[0])
        elif op == "Clip":
            y = F.hardtanh(v[0], v[1].item(), v[2].item())
        elif op == "Add":
            y = v[0] + v[1]
        elif op == "Mul":
            y = v[0] * v[1]
        elif op == "MatMul":
            y = torch.matmul(v[0], v[1])
        elif op == "Gemm":
            y = F.linear(v[0], v[1], v[2])
        elif op == "Linear":
            y = F.linear(v[0], v[1].t(), v[2])
        elif op == "Attention":
            y = F.scaled_dot_product_attention(v[0], v[1].transpose(-1, -2), v[2], scale=v[3].item())
        elif op == "GlobalAveragePool":
            y = F.adaptive_avg_pool2d(v[0], 1)
        elif op == "Flatten":
            y = torch.flatten(v[0], 1)
        elif op == "Softmax":
            y = F.softmax(v[0], a["axis"])
        elif op == "LayerNormalization":
            y = F.layer_norm(v[0], v[1].shape, v[1], v[2], a["epsilon"])
        elif op == "Reshape":
            y = v[0].reshape([v[0].shape[i] if d == 0 else d for i, d in enumerate(v[1].tolist())])
        elif op == "Transpose":
            y = v[0].permute(a["perm"])
        elif op == "ReduceMean":
            y = v[0].mean(a["axes"], keepdim=bool(a["keepdims"]))
        else:
            raise ValueError(f"the peer does not know {op}")
        values[output] = y
    return values["logits"]


n = int(batch)
shape = [n] + [int(d) for d in sample.split(",")]
size = math.prod(shape)
x = place(torch.from_numpy((((np.arange(size, dtype=np.int64) * 7919) % 1009) / 504.5 - 1).astype(np.float32)).reshape(shape))
labels = (torch.arange(n) * 7) % 10
forget = torch.arange(n) >= n - math.floor(n * 0.3)
n_forget, n_retain = int(forget.sum()), n - int(forget.sum())

weights = {name: torch.nn.Parameter(value) for name, value in parameters.items()}
optimizer = torch.optim.SGD(weights.values(), lr=1e-4, momentum=0.9, weight_decay=5e-4)
dual = torch.zeros((), requires_grad=True)
dual_optimizer = torch.optim.Adam([dual], lr=1.0, weight_decay=0.01)


def sides(logits):
    per_sample = F.cross_entropy(logits, labels, reduction="none")
    return per_sample[forget].sum() / n, per_sample[~forget].sum() / n


def step():
    lam = max(float(dual.detach()), 0.0)
    f, r = sides(forward(weights, x))
    optimizer.zero_grad()
    (torch.log(f + 1e-8) + lam * torch.log(r + 1e-8)).backward()
    optimizer.step()
    with torch.inference_mode():
        if rows == "all":
            _, after = sides(forward(weights, x))
        else:
            after = F.cross_entropy(forward(weights, x[~forget]), labels[~forget], reduction="none").sum() / n
    rise = torch.log(after + 1e-8) - torch.log(r.detach() + 1e-8)
    dual.grad = -(rise - (-0.01)).clone()
    dual_optimizer.step()
    return [float(f.detach()) * n / n_forget, float(r.detach()) * n / n_retain, lam]


def say(answer):
    print(json.dumps(answer), flush=True)


say({"engine": f"PyTorch {torch.__version__}"})
for line in sys.stdin:
    cpu, started = time.process_time(), time.perf_counter()
    for _ in range(int(line)):
        losses = step()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    with open("/proc/self/status") as status:
        now = {row.split(":")[0]: row.split(":")[1] for row in status}
    say({
        "seconds": seconds,
        "cpuSeconds": cpu_seconds,
        "peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "residentBytes": int(now["VmRSS"].split()[0]) * 1024,
        "losses": losses,
    })
