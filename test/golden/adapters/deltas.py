# python3 deltas.py: writes `adapter_config.json` and `adapter_model.safetensors` as PEFT stores them, and `deltas.json`
# and `deltas.f32`, what they add to each weight, in PEFT's arithmetic (numpy, float64). Rows of queries and keys are in
# the order that llama.cpp's converter gives them. Shares nothing with src/.
import json
import re
import struct

import numpy as np

HIDDEN, INTERMEDIATE, HEADS, KV_HEADS, HEAD_DIM, EXPERTS = 32, 48, 4, 2, 8, 4
random = np.random.default_rng(7)
config = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "bias": "none",
    "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate", "w1", "w2", "w3"],
    "target_parameters": ["experts.gate_up_proj", "experts.down_proj"],
    "r": 4,
    "lora_alpha": 10,
    "use_rslora": False,
    "rank_pattern": {"k_proj": 2, "experts.1.w3": 3},
    "alpha_pattern": {"layers.0.self_attn.k_proj": 7, "w3": 5, "mlp.experts.down_proj": 6},
}


def pattern(key, name, default):
    """peft.utils.other.get_pattern_key."""
    for each, value in config[key].items():
        if re.match(rf"(.*\.)?({each})$", name):
            return value
    return default


def rank_and_scaling(name):
    """LoraLayer.update_layer."""
    rank = pattern("rank_pattern", name, config["r"])
    alpha = pattern("alpha_pattern", name, config["lora_alpha"])
    return rank, alpha / np.sqrt(rank) if config["use_rslora"] else alpha / rank


def factor(rows, columns):
    return random.standard_normal((rows, columns)).astype(np.float32)


def permute(weights, heads):
    """LlamaModel.permute of convert_hf_to_gguf.py."""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


tensors, deltas = {}, []
linears = {
    "0.self_attn.q_proj": ("blk.0.attn_q.weight", HEADS * HEAD_DIM, HIDDEN, HEADS),
    "0.self_attn.k_proj": ("blk.0.attn_k.weight", KV_HEADS * HEAD_DIM, HIDDEN, KV_HEADS),
    "1.self_attn.k_proj": ("blk.1.attn_k.weight", KV_HEADS * HEAD_DIM, HIDDEN, KV_HEADS),
    "0.self_attn.v_proj": ("blk.0.attn_v.weight", KV_HEADS * HEAD_DIM, HIDDEN, 0),
    "0.self_attn.o_proj": ("blk.0.attn_output.weight", HIDDEN, HEADS * HEAD_DIM, 0),
    "0.block_sparse_moe.gate": ("blk.0.ffn_gate_inp.weight", EXPERTS, HIDDEN, 0),
}
for expert in range(2):
    for w, name, rows, columns in (("w1", "gate", INTERMEDIATE, HIDDEN), ("w2", "down", HIDDEN, INTERMEDIATE), ("w3", "up", INTERMEDIATE, HIDDEN)):
        linears[f"0.block_sparse_moe.experts.{expert}.{w}"] = (f"blk.0.ffn_{name}.{expert}.weight", rows, columns, 0)
for module, (name, rows, columns, heads) in linears.items():
    rank, scaling = rank_and_scaling(f"model.layers.{module}")
    a, b = factor(rank, columns), factor(rows, rank)
    prefix = f"base_model.model.model.layers.{module}"
    tensors[f"{prefix}.lora_A.weight"], tensors[f"{prefix}.lora_B.weight"] = a, b
    delta = b.astype(np.float64) @ a.astype(np.float64) * scaling  # Linear.get_delta_weight
    deltas.append((name, permute(delta, heads) if heads else delta))

for wrapper, parameter, rows, columns in (("", "gate_up_proj", 2 * INTERMEDIATE, HIDDEN), (".base_layer", "down_proj", HIDDEN, INTERMEDIATE)):
    rank, scaling = rank_and_scaling(f"model.layers.1.mlp.experts.{parameter}")
    a, b = factor(rank * EXPERTS, columns), factor(rows, rank * EXPERTS)
    prefix = f"base_model.model.model.layers.1.mlp.experts{wrapper}"
    tensors[f"{prefix}.lora_A.weight"], tensors[f"{prefix}.lora_B.weight"] = a, b
    # ParamWrapper.get_delta_weight
    by_expert = a.astype(np.float64).reshape(EXPERTS, -1, columns), b.astype(np.float64).reshape(rows, -1, EXPERTS)
    delta = np.einsum("o r e, e r i -> e o i", by_expert[1], by_expert[0]) * scaling
    for expert in range(EXPERTS):
        if parameter == "down_proj":
            deltas.append((f"blk.1.ffn_down.{expert}.weight", delta[expert]))
        else:  # transformers: gate, up = linear(x, gate_up_proj[expert]).chunk(2)
            deltas.append((f"blk.1.ffn_gate.{expert}.weight", delta[expert][:INTERMEDIATE]))
            deltas.append((f"blk.1.ffn_up.{expert}.weight", delta[expert][INTERMEDIATE:]))

header, data = {}, b""
for name, values in tensors.items():
    header[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": [len(data), len(data) + values.nbytes]}
    data += values.tobytes()
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open("adapter_model.safetensors", "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text + data)
with open("adapter_config.json", "w") as file:
    file.write(json.dumps(config, indent=2) + "\n")
with open("deltas.f32", "wb") as file:
    for _, delta in deltas:
        file.write(delta.astype("<f4").tobytes())
with open("deltas.json", "w") as file:
    file.write(json.dumps([{"name": name, "shape": delta.shape} for name, delta in deltas], indent=2) + "\n")
