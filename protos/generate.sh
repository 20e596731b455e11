#!/usr/bin/env bash
# Generates everything that is made from the .proto files into the new folder OUT:
#
#   OUT/src/quarterdeck/v1/*_pb2.py, *_pb2_grpc.py, *.pyi   messages, services, type stubs
#   OUT/src/buf/validate/validate_pb2.py, *.pyi             the validation rules' own messages
#   OUT/api.txtpb                                           the whole API as one reviewable text, comments left out
#
# The proto package path equals the Python package path, so the generated imports work as they are.
# `make gen` copies OUT over protos/, `make gen-check` compares the two.
#
# usage: protos/generate.sh OUT      (from the root of the repository, after `make setup`)
set -euo pipefail

out=${1:?usage: protos/generate.sh OUT}
export PATH="$PWD/.venv/bin:$PATH" # protoc finds protoc-gen-mypy and protoc-gen-mypy_grpc here

if [[ -e $out ]]; then
    echo "generate.sh: $out exists already; name a folder of its own" >&2
    exit 1
fi
mkdir -p "$out/src"

protoc() {
    python -m grpc_tools.protoc -Iprotos -Iprotos/third_party --python_out="$out/src" --mypy_out="quiet:$out/src" "$@"
}

protoc buf/validate/validate.proto
protoc --grpc_python_out="$out/src" --mypy_grpc_out="quiet:$out/src" \
    $(cd protos && find quarterdeck -name '*.proto' | LC_ALL=C sort)

buf build --path protos/quarterdeck --exclude-imports --exclude-source-info --output "$out/api.txtpb"
