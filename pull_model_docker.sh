#!/usr/bin/env bash
# Loads a model into the Ollama container: ./pull_model_docker.sh qwen3:0.6b
# Starts the container if it is not running, pulls the model in it, and lists what is installed.
set -euo pipefail
cd "$(dirname "$0")"

model=${1:-}
if [ -z "$model" ]; then
  cat >&2 <<'USAGE'
Usage: ./pull_model_docker.sh <model>

  qwen3:0.6b    small, good to begin with
  llama3.2:1b   light, from Meta
  mistral:7b    stronger

All models: https://ollama.com/library
USAGE
  exit 2
fi

compose() { docker compose --profile ollama "$@"; }

if [ -z "$(compose ps --status running --quiet ollama)" ]; then
  echo "Ollama is not running: starting it."
  compose up -d ollama
fi
for _ in $(seq 60); do
  if compose exec -T ollama ollama list >/dev/null 2>&1; then ready=1; break; fi
  sleep 1
done
if [ -z "${ready:-}" ]; then
  echo "Ollama did not become ready within a minute. Its log: docker compose logs ollama" >&2
  exit 1
fi

echo "Pulling $model"
compose exec -T ollama ollama pull "$model"
echo
echo "Installed models:"
compose exec -T ollama ollama list
