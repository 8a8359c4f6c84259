# The service on a CPU:
#   docker build -t srgnn .
#   docker run -e SRGNN_API_KEY -p 127.0.0.1:8080:8080 -v ./model.ckpt:/model/model.ckpt:ro srgnn
FROM python:3.13-slim AS build
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY conf conf
COPY src src
# torch is named again so that nothing replaces it with a build of several GB.
RUN /venv/bin/pip install --no-cache-dir torch==2.13.0 ".[serve]"

FROM python:3.13-slim
RUN useradd --uid 10001 --create-home srgnn
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /home/srgnn
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health', timeout=2)"]
ENTRYPOINT ["srgnn", "serve"]
CMD ["checkpoint=/model/model.ckpt", "host=0.0.0.0"]
