#!/usr/bin/env bash
# Builds a Debian package of Trunkline for the Debian release of this machine, with all that it imports inside:
#
#   make deb        (or: PIP="python3 -m pip" deploy/debian/build.sh DIRECTORY)
#
# Installing it needs no network but Debian's. NATIVE=no leaves the native packet path out, which needs Rust to build.
set -euo pipefail
out=$(realpath "${1:?where to put the package}")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
here=deploy/debian
read -ra pip <<<"${PIP:-python3 -m pip}"
umask 022

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"
home=$stage/opt/trunkline

# Of the system's own Python, whose version the package then depends on.
mkdir -p "$stage/opt"
/usr/bin/python3 -m venv --without-pip "$home"
install=("${pip[@]}" --python "$home/bin/python" --disable-pip-version-check install --quiet --no-input --no-compile
    --no-warn-script-location --constraint tests/requirements.lock)
"${install[@]}" .
if [[ ${NATIVE:-yes} != no ]] && command -v cargo >/dev/null; then "${install[@]}" ./bridge/media/native; fi

# Nothing may tell where it was built: it lies in /opt/trunkline from now on.
find "$home/bin" -mindepth 1 ! -name 'python*' ! -name trunkline -delete
sed -i "1s|^#!.*|#!/opt/trunkline/bin/python|" "$home/bin/trunkline"
sed -i '/^command = /d' "$home/pyvenv.cfg"
find "$home" -name direct_url.json -delete
find "$home/lib" -name '*.so*' -exec chmod a-x {} +
/usr/bin/python3 -m compileall -q -j 0 -s "$stage" -p / "$home/lib"

install -D -m 644 deploy/systemd/trunkline.service "$stage/lib/systemd/system/trunkline.service"
install -d "$stage/usr/bin" "$stage/usr/share/trunkline" "$stage/usr/share/doc/trunkline"
ln -s /opt/trunkline/bin/trunkline "$stage/usr/bin/trunkline"
# The example, with what Trunkline writes in the place where the service may write.
sed -e 's|^  #path: trunkline.sqlite3|  path: /var/lib/trunkline/trunkline.sqlite3|' \
    -e 's|^  #call_records: call-records.jsonl|  call_records: /var/lib/trunkline/call-records.jsonl|' \
    config/trunkline.example.yaml >"$stage/usr/share/trunkline/trunkline.yaml"
install -m 644 README.md "$here/copyright" "$stage/usr/share/doc/trunkline/"
install -D -m 644 -t "$stage/usr/share/doc/trunkline/deploy" deploy/*.md
gzip -9n <CHANGELOG.md >"$stage/usr/share/doc/trunkline/CHANGELOG.md.gz"
install -D -m 644 "$here/lintian-overrides" "$stage/usr/share/lintian/overrides/trunkline"

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
python=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
next=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % (sys.version_info[0], sys.version_info[1] + 1))')
architecture=$(dpkg --print-architecture)
# Whoever builds it is who answers for it.
maintainer="${DEBFULLNAME:-Trunkline} <${DEBEMAIL:-trunkline@$(hostname -f)}>"
printf 'trunkline (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.gz.\n\n -- %s  %s\n' \
    "$version" "$maintainer" "$(date -R)" | gzip -9n >"$stage/usr/share/doc/trunkline/changelog.gz"
mkdir "$stage/DEBIAN"
sed -e "s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/; s/@PYTHON@/$python/; s/@NEXT_PYTHON@/$next/" \
    -e "s/@MAINTAINER@/$maintainer/" \
    -e "s/@SIZE@/$(du -k -s --apparent-size "$stage" | cut -f1)/" "$here/control" >"$stage/DEBIAN/control"
install -m 755 "$here"/{postinst,prerm,postrm} "$stage/DEBIAN/"
(cd "$stage" && find opt usr lib -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$stage/DEBIAN/md5sums"
dpkg-deb --root-owner-group "-Z${COMPRESS:-xz}" --build "$stage" "$out/trunkline_${version}_$architecture.deb"
