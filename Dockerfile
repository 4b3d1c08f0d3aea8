# CPU:  docker build -t kerasmi .
# GPU:  docker build -t kerasmi:gpu --build-arg BASE=tensorflow/tensorflow:2.16.2-gpu --build-arg EXTRAS=dicom .
# Run:  mkdir -p runs && docker run --rm -v "$PWD/runs:/home/kerasmi/runs" kerasmi run local_mine
#       (where there is no folder docker makes it, as root's: uid 1000 could not write)
# GPUs: docker run --rm --gpus all --shm-size=1g -v "$PWD/runs:/home/kerasmi/runs" kerasmi:gpu run local_mine
#       (several GPUs talk through shared memory, 64 MB by default; not tried by anyone yet)
ARG BASE=python:3.11-slim
FROM ${BASE}

ARG EXTRAS=dicom
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
COPY . /opt/kerasmi
RUN python3 -m pip install "/opt/kerasmi[${EXTRAS}]" && rm -rf /opt/kerasmi

# Not root: what a run writes belongs to this user. Give --user "$(id -u)" to
# write into a mounted folder of your own: Ubuntu's useradd would keep it out.
RUN useradd --create-home --uid 1000 kerasmi && chmod 755 /home/kerasmi
USER kerasmi
WORKDIR /home/kerasmi
RUN mkdir runs
VOLUME ["/home/kerasmi/runs"]
ENTRYPOINT ["kerasmi"]
CMD ["--help"]
