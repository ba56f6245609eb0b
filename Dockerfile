# The command `cycleisp` in a container; the present folder is /work in it.
#
#   docker build --tag cycleisp .                             with PyTorch for CPUs
#   docker build --tag cycleisp --build-arg TORCH=cuda .      with PyTorch for NVIDIA GPUs
#   docker run --rm --volume "$PWD:/work" cycleisp denoise PHOTOS --output DENOISED
#
# Without --user, files that it writes belong to root. GPUs need docker run --gpus all.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim AS build
ARG TORCH=cpu
ARG EXTRAS=heif,hub,onnx
WORKDIR /source
COPY . .
# Versions that end in +cpu count as newer than the others, so that pip takes them where it sees them.
RUN python -m venv /opt/cycleisp \
    && case "$TORCH" in \
         cpu) index="--extra-index-url https://download.pytorch.org/whl/cpu" ;; \
         cuda) index="" ;; \
         *) echo "TORCH=$TORCH: expected cpu or cuda" >&2; exit 2 ;; \
       esac \
    && /opt/cycleisp/bin/pip install --no-cache-dir --constraint constraints.txt $index ".[$EXTRAS]" \
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
