# python3 ggml.py FOLDER, where FOLDER has llama.cpp's libraries: calls them for encoding.mjs and quantized.mjs. Reads
# requests, JSON, one a line, and answers each with a line. "encode": rows of float32 by ggml_quantize_chunk, one thread;
# "quantize": a whole file by llama_model_quantize, with the importances of a file of float32 and their places in it.

import ctypes
import glob
import json
import os
import sys
import time

folder = sys.argv[1]


class Importance(ctypes.Structure):  # llama_model_imatrix_data
    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.POINTER(ctypes.c_float)), ("size", ctypes.c_size_t)]


class Parameters(ctypes.Structure):  # llama_model_quantize_params of llama.cpp v0.5.0
    _fields_ = (
        [(name, ctypes.c_int32) for name in ("threads", "file_type", "output_type", "embedding_type")]
        + [(name, ctypes.c_bool) for name in ("requantize", "quantize_output", "only_copy", "pure", "keep_split", "dry_run")]
        + [("imatrix", ctypes.POINTER(Importance))]
        + [(name, ctypes.c_void_p) for name in ("kv_overrides", "tensor_overrides", "prune_layers")]
        + [("most_bytes", ctypes.c_size_t)]
    )


def floats(path):
    with open(path, "rb") as file:
        data = file.read()
    return (ctypes.c_float * (len(data) // 4)).from_buffer_copy(data)


class Encoder:
    def __init__(self):
        self.library = ctypes.CDLL(os.path.join(folder, "libggml-base.so"))
        chunk = self.library.ggml_quantize_chunk
        chunk.restype = ctypes.c_size_t
        whole = ctypes.c_int64
        chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, whole, whole, whole, ctypes.c_void_p]
        self.files = {}

    def floats(self, path):
        if path not in self.files:
            self.files[path] = floats(path)
        return self.files[path]

    def encode(self, type, rows, columns, values, importance, out):
        source, weights = self.floats(values), self.floats(importance)
        target = ctypes.create_string_buffer(rows * columns * 4)
        self.library.ggml_quantize_init(type)
        start = time.process_time()
        size = self.library.ggml_quantize_chunk(type, source, target, 0, rows, columns, weights)
        seconds = time.process_time() - start
        with open(out, "wb") as file:
            file.write(target.raw[:size])
        return {"seconds": seconds}


class Quantizer:
    def __init__(self):
        # backends first: without one, nothing loads a model's tensors
        base = ctypes.CDLL(os.path.join(folder, "libggml-base.so"), mode=ctypes.RTLD_GLOBAL)
        ggml = ctypes.CDLL(glob.glob(os.path.join(folder, "libggml.*.so"))[0], mode=ctypes.RTLD_GLOBAL)
        ggml.ggml_backend_load_all_from_path(folder.encode())
        self.library = ctypes.CDLL(glob.glob(os.path.join(folder, "libllama.*.so"))[0])
        self.silent = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda level, text, user: None)
        self.library.llama_log_set(self.silent, None)
        self.library.llama_model_quantize_default_params.restype = Parameters
        self.library.llama_model_quantize.restype = ctypes.c_uint32
        self.library.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(Parameters)]
        self.base = base

    def quantize(self, input, output, file_type, threads, importances, places):
        parameters = self.library.llama_model_quantize_default_params()
        parameters.threads = threads
        parameters.file_type = file_type
        if importances:
            values = floats(importances)
            at = ctypes.addressof(values)
            entries = (Importance * (len(places) + 1))()  # the last has no name
            for entry, (name, offset, size) in zip(entries, places):
                entry.name = name.encode()
                entry.data = ctypes.cast(at + 4 * offset, ctypes.POINTER(ctypes.c_float))
                entry.size = size
            parameters.imatrix = entries
        start = time.process_time()
        code = self.library.llama_model_quantize(input.encode(), output.encode(), ctypes.byref(parameters))
        return {"seconds": time.process_time() - start, **({"error": f"llama_model_quantize returned {code}"} if code else {})}


makers = {"encode": Encoder, "quantize": Quantizer}
made = {}
for line in sys.stdin:
    request = json.loads(line)
    call = request.pop("call")
    if call not in made:
        made[call] = makers[call]()
    print(json.dumps(getattr(made[call], call)(**request)), flush=True)
