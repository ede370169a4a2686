#!/bin/sh
# Runs inside a build: installs requirements.txt into /opt/venv.
# uv is mounted at /mnt, so no image keeps it. This file and the requirements are copied: buildah takes a layer from its
# cache when what was copied is the same, and looks at no mount.
set -eu

# Where this machine's packages come from is its own affair: it comes as secrets and stays out of the image.
if [ -f /run/secrets/index ]; then . /run/secrets/index; fi
if [ -f /run/secrets/uv-config ]; then export UV_CONFIG_FILE=/run/secrets/uv-config; fi
if [ -f /run/secrets/certificates ]; then export SSL_CERT_FILE=/run/secrets/certificates; fi

# A builder that can lends its machine's own cache of packages instead of the build cache.
export UV_CACHE_DIR=/var/cache/uv
if [ -d /var/cache/uv-host ]; then UV_CACHE_DIR=/var/cache/uv-host; fi

export UV_LINK_MODE=copy UV_NO_PROGRESS=1 UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/opt/venv
export PYC_INVALIDATION_MODE=UNCHECKED_HASH # nothing in an image changes, and its files' times mean nothing
/mnt/uv pip install --quiet --compile-bytecode -r /app/requirements.txt
/mnt/uv pip check --quiet
