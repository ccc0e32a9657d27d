#!/usr/bin/env bash
# Asks a running node at random, from its own OpenAPI document: schemathesis.sh URL USER PASSWORD [EXAMPLES]
# Whatever is asked: no failure of the server (5xx), no status, type or document that the OpenAPI document does not tell of, and nothing
# taken that it does not allow.
# Left out is what answers only when something happens (events, changes, logins in a browser).
set -euo pipefail
url=$1 user=$2 password=$3 examples=${4:-25}

# One worker: Python 3.11 compiles in several threads at once with an error of its own ("AST constructor recursion depth mismatch").
# The part of a file that an upload goes on with is of a type of its own.
here=${BASH_SOURCE%/*}
export SCHEMATHESIS_HOOKS=hooks PYTHONPATH=$here
exec schemathesis --config-file "$here/schemathesis.toml" run "$url/api/v1/openapi.json" \
  --auth "$user:$password" \
  --max-examples "$examples" --seed 20261125 --no-shrink --continue-on-failure \
  --phases examples,coverage,fuzzing \
  --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method,allow_header_conformance,missing_required_header,negative_data_rejection \
  --exclude-path /api/v1/events --exclude-path /api/v1/changes --exclude-path /api/v1/service-logins/wait \
  --suppress-health-check all --warnings off --request-timeout 60 --workers 1
