# CPU:  docker build -t kerasmi .
# GPU:  docker build -t kerasmi:gpu --build-arg BASE=tensorflow/tensorflow:2.16.2-gpu --build-arg EXTRAS=dicom .
# Run:  docker run --rm -v "$PWD/runs:/home/kerasmi/runs" kerasmi run local_mine
ARG BASE=python:3.11-slim
FROM ${BASE}

ARG EXTRAS=dicom
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
COPY . /opt/kerasmi
RUN python3 -m pip install "/opt/kerasmi[${EXTRAS}]" && rm -rf /opt/kerasmi

# Not root: what a run writes belongs to this user. Give --user "$(id -u)" to
# write into a mounted folder of your own.
RUN useradd --create-home --uid 1000 kerasmi
USER kerasmi
WORKDIR /home/kerasmi
RUN mkdir runs
VOLUME ["/home/kerasmi/runs"]
ENTRYPOINT ["kerasmi"]
CMD ["--help"]
