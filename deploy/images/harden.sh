#!/bin/sh
# In the last stages, as root: the user that the image runs as, and away with what the base may have that installs
# packages of Python or takes another user's rights.
set -eu
echo 'sallyport:x:10001:10001:Sallyport:/nonexistent:/usr/sbin/nologin' >> /etc/passwd
echo 'sallyport:x:10001:' >> /etc/group
python3 - <<'END'
import shutil
import sysconfig
from pathlib import Path

for scheme in {sysconfig.get_path("purelib"), "/usr/lib/python3/dist-packages"}:
    for name in ("pip", "setuptools", "wheel", "pkg_resources", "_distutils_hack"):
        for found in (Path(scheme) / name, *Path(scheme).glob(f"{name}-*.dist-info")):
            shutil.rmtree(found, ignore_errors=True)
    (Path(scheme) / "distutils-precedence.pth").unlink(missing_ok=True)  # without setuptools every start would complain
# The wheels that `python3 -m venv` puts into a new environment.
for directory in (Path(sysconfig.get_path("stdlib")) / "ensurepip", "/usr/share/python-wheels"):
    shutil.rmtree(directory, ignore_errors=True)
for directory in ("/usr/local/bin", "/usr/bin"):
    for name in ("pip*", "wheel*"):
        for found in Path(directory).glob(name):
            found.unlink()
END
find / -xdev -perm /6000 \( -type f -o -type d \) ! -path '/proc/*' -exec chmod a-s {} +
