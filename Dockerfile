# The command `cycleisp` in a container; the present folder is /work in it.
#
#   docker build --tag cycleisp .
#   docker build --tag cycleisp --build-arg INDEX=URL .    also looks there for packages
#   docker run --rm --volume "$PWD:/work" cycleisp denoise PHOTOS --output DENOISED
#
# pip takes PyTorch with its libraries for NVIDIA GPUs. With INDEX as the address of PyTorch's index for
# CPUs (pytorch.org, "Get started") it takes a much smaller one that knows no GPU.
# Without --user, files that it writes belong to root. GPUs need docker run --gpus all.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim AS build
ARG INDEX=
ARG EXTRAS=heif,hub,onnx
WORKDIR /source
COPY . .
# Versions that end in +cpu count as newer than the others, so that pip takes them where it sees them.
RUN python -m venv /opt/cycleisp \
    && /opt/cycleisp/bin/pip install --no-cache-dir --constraint constraints.txt ${INDEX:+--extra-index-url "$INDEX"} ".[$EXTRAS]" \
    && /opt/cycleisp/bin/cycleisp --version

FROM python:${PYTHON}-slim
COPY --from=build /opt/cycleisp /opt/cycleisp
# Whoever runs the container may have no home folder in it: caches and fetched weights go to /tmp.
ENV PATH=/opt/cycleisp/bin:$PATH \
    NUMBA_CACHE_DIR=/tmp/numba \
    TORCH_HOME=/tmp/torch \
    HF_HOME=/tmp/huggingface
WORKDIR /work
ENTRYPOINT ["cycleisp"]
CMD ["--help"]
