"""min-tfs-client: gRPC Predict, read from `float_val`. Its generated code needs protobuf 3."""

import numpy as np
from connection import GRPC, MODEL, print_vectors, read_texts
from min_tfs_client.requests import TensorServingClient
from min_tfs_client.tensors import tensor_proto_to_ndarray

texts = read_texts()
host, port = GRPC.rsplit(":", 1)
answer = TensorServingClient(host, int(port)).predict_request(MODEL, {"text": np.array(texts)})
print_vectors(predict=tensor_proto_to_ndarray(answer.outputs["embedding"]).tolist())
