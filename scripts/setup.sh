# Sourced by scripts/run and scripts/test: makes .venv with the locked packages and gets the system libraries.
# Quick the second time: a stamp in .venv remembers what was installed. Expects the repository root as working
# directory and `set -euo pipefail`.

say() { printf 'segue: %s\n' "$*" >&2; }

# Run a command as root: as we are, or through sudo (which may ask for a password only on a terminal).
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif [ -t 0 ]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# Debian/Ubuntu: install the packages named in "$@". Returns 1, having said the exact command, where it cannot.
apt_install() {
    local command="apt-get install -y --no-install-recommends $*"
    if ! command -v apt-get >/dev/null; then
        say "please install what your system calls: $*"
        return 1
    fi
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        say "please run as root: $command"
        return 1
    fi
    say "installing system packages: $*"
    # The package lists of a fresh machine are empty or old: fetch them only when the first try fails.
    if as_root env DEBIAN_FRONTEND=noninteractive $command >/dev/null 2>&1; then
        return 0
    fi
    as_root apt-get update -qq || true
    if ! as_root env DEBIAN_FRONTEND=noninteractive $command >/dev/null; then
        say "that failed; please run as root: $command"
        return 1
    fi
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# A Python >= 3.11 that can make virtual environments; empty when there is none.
find_python() {
    local candidate
    for candidate in ${SEGUE_PYTHON:-} python3.13 python3.12 python3.11 python3 python; do
        if command -v "$candidate" >/dev/null && is_new_enough "$candidate" &&
            "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
}

get_python() {
    PYTHON=$(find_python)
    [ -n "$PYTHON" ] && return
    case "$(uname -s)" in
        Darwin)
            command -v brew >/dev/null && brew install python@3.13
            ;;
        *)
            # Where the system's own python3 is older (Ubuntu 22.04), 3.11 is a package of its own.
            apt_install python3 python3-venv || true
            [ -n "$(find_python)" ] || apt_install python3.11 python3.11-venv || true
            ;;
    esac
    PYTHON=$(find_python)
    if [ -z "$PYTHON" ]; then
        say "Segue needs Python 3.11 or newer with its venv module; install it, or name one in SEGUE_PYTHON"
        exit 1
    fi
}

has_portaudio() { ldconfig -p 2>/dev/null | grep -q libportaudio || /sbin/ldconfig -p 2>/dev/null | grep -q libportaudio; }

# Libraries outside Python. "$1" is "run", "test" or "all" (tests, those in a real DAW too). Missing ones are no reason to stop: without PortAudio Segue
# plays into a file, and tests that need a sound server say that they are skipped.
get_system_packages() {
    local wanted=()
    case "$(uname -s)" in
        Linux)
            has_portaudio || wanted+=(libportaudio2)
            if [ "$1" != run ]; then
                command -v jackd >/dev/null || wanted+=(jackd2)
                command -v oscsend >/dev/null || wanted+=(liblo-tools)
                command -v sox >/dev/null || wanted+=(sox)
                command -v ffmpeg >/dev/null || wanted+=(ffmpeg)
                command -v espeak-ng >/dev/null || wanted+=(espeak-ng)
                command -v lua5.4 >/dev/null || wanted+=(lua5.4)
            fi
            if [ "$1" = all ]; then
                command -v ardour >/dev/null || wanted+=(ardour)
                command -v Xvfb >/dev/null || wanted+=(xvfb)
                command -v xdotool >/dev/null || wanted+=(xdotool)
            fi
            [ ${#wanted[@]} = 0 ] || apt_install "${wanted[@]}" || true
            ;;
        Darwin) # PortAudio comes with the Python package there
            if [ "$1" != run ] && command -v brew >/dev/null; then
                command -v jackd >/dev/null || brew install jack || true
                command -v oscsend >/dev/null || brew install liblo || true
                command -v sox >/dev/null || brew install sox || true
                command -v ffmpeg >/dev/null || brew install ffmpeg || true
                command -v espeak-ng >/dev/null || brew install espeak-ng || true
            fi
            ;;
    esac
}

stamp() {
    .venv/bin/python - <<'PYTHON'
import hashlib, pathlib, sys
files = [pathlib.Path("requirements.lock"), pathlib.Path("pyproject.toml")]
print(hashlib.sha256(b"".join(f.read_bytes() for f in files) + sys.version.encode() + str(pathlib.Path.cwd()).encode()).hexdigest())
PYTHON
}

get_python_packages() {
    local quiet=(--quiet)
    [ -t 2 ] && quiet=()
    if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
        say "making a virtual environment in .venv with $("$PYTHON" --version)"
        rm -rf .venv
        "$PYTHON" -m venv .venv
    fi
    if [ -f .venv/.segue-stamp ] && [ "$(cat .venv/.segue-stamp)" = "$(stamp)" ]; then
        return
    fi
    say "installing Python packages; the first time this takes a few minutes and about 1 GB"
    .venv/bin/python -m pip install ${quiet[@]+"${quiet[@]}"} --disable-pip-version-check -r requirements.lock
    .venv/bin/python -m pip install ${quiet[@]+"${quiet[@]}"} --disable-pip-version-check --no-deps -e .
    stamp >.venv/.segue-stamp
    say "ready"
}

# set_up run|test|all
set_up() {
    if [ -x .venv/bin/python ]; then PYTHON=.venv/bin/python; else get_python; fi
    get_system_packages "$1"
    get_python_packages
}
