#!/bin/sh
# Makes /opt/sallyport in a build stage: an environment with the locked packages of one service, and its command.
#
#   sh install.sh ingest|matcher|notifier
#
# Beside it: pyproject.toml; wheels/SERVICE.txt, the lock; and perhaps wheels/*.whl, else the packages come from the
# index.
set -eu
service=$1
home=/opt/sallyport
index=
ls wheels/*.whl >/dev/null 2>&1 && index="--no-index --find-links=wheels"

# No pip inside: the one of the build stage installs from outside.
python3 -m venv --without-pip "$home"
# shellcheck disable=SC2086 - two options, or none
python3 -m pip --python "$home/bin/python" install --quiet --disable-pip-version-check --no-cache-dir --no-compile \
    --root-user-action=ignore --only-binary :all: --require-hashes $index -r "wheels/$service.txt"

# Our own code is copied beside the packages, by the Containerfile; what says which version it is goes among them.
packages=$("$home/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
version=$("$home/bin/python" -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')
echo "$home/app" > "$packages/sallyport.pth"
mkdir "$packages/sallyport-$version.dist-info"
printf 'Metadata-Version: 2.1\nName: sallyport\nVersion: %s\nLicense: Apache-2.0\n' "$version" \
    > "$packages/sallyport-$version.dist-info/METADATA"
cat > "$home/bin/sallyport" <<END
#!$home/bin/python
from services.platform.cli import main

main()
END
chmod 755 "$home/bin/sallyport"

# What nothing imports at run time: tests and type stubs of packages, scripts for activating, bytecode.
find "$packages" -type d \( -name tests -o -name test -o -name __pycache__ \) -prune -exec rm -rf {} +
find "$packages" -type f \( -name '*.pyi' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.[ach]' \) -delete
find "$home/bin" -mindepth 1 ! -name 'python*' ! -name sallyport -exec rm -rf {} +
rm -rf "$home/include" "$home/share"

# Debug symbols are half of some packages. Libraries that came with a wheel (*.libs) were edited after they were linked,
# and are left alone. Without `strip` in the build image the images are larger by a quarter.
if command -v strip >/dev/null; then
    find "$packages" -name '*.so' ! -path '*.libs/*' -exec strip --strip-debug {} +
fi
