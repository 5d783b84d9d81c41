#!/usr/bin/env bash
# hack/setup.sh VENV MEMBER...: make VENV hold exactly pinned packages (constraints.txt, by hash) and the members, editable.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
shift

# Without pip is one whose making was interrupted.
if ! "$venv/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  # A distribution's own first: it is built with profile-guided optimisation, which those of pyenv are not, and needs a fifth less time.
  for candidate in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      python=$candidate
      break
    fi
  done
  [ -n "${python:-}" ] || { echo "make setup: no Python 3.11 or newer with venv found (looked for python3, python3.14 … python3.11; on Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
  "$python" -m venv --clear "$venv"
fi

echo "make setup: installing what constraints.txt pins into $venv (the first time takes a minute)" >&2
pip=("$venv/bin/python" -m pip --quiet --disable-pip-version-check)
"${pip[@]}" install --require-hashes --no-deps --requirement constraints.txt
# The members by themselves: what they need is installed already, and setuptools is among it.
"${pip[@]}" install --no-deps --no-build-isolation $(printf -- '--editable ./%s ' "$@")
