#!/bin/sh
# Build the container image of hub and agent from the wheel in dist/ with buildah, without a registry: a minimal Debian, Python, libbpf, phalanx.
#   deploy/image.sh [NAME]     default phalanx:<version>; the image is left in buildah's store and written to dist/phalanx-image.tar (OCI archive)
# Run it:  podman run -p 127.0.0.1:7430:7430 IMAGE hub …   or, for the agent:  --privileged --pid=host -v /sys:/sys IMAGE agent …
set -eu
cd "$(dirname "$0")/.."
for tool in buildah debootstrap; do
    command -v "$tool" >/dev/null 2>&1 || { echo "deploy/image.sh needs $tool: apt-get install buildah debootstrap" >&2; exit 2; }
done
[ "$(id -u)" = 0 ] || { echo "deploy/image.sh needs root: debootstrap makes a root file system" >&2; exit 2; }
wheel=$(ls dist/phalanx-*.whl)
version=$(basename "$wheel" | cut -d- -f2)
name=${1:-phalanx:$version}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p; s/^URIs: *//p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)

debootstrap --variant=minbase --include=python3,python3-venv,libbpf1,ca-certificates bookworm "$work/root" "$mirror" >"$work/log" 2>&1 ||
    { tail -n 20 "$work/log" >&2; exit 3; }
rm -rf "$work/root/var/cache/apt" "$work/root/var/lib/apt/lists"
python3 -m venv "$work/tools"
"$work/tools/bin/pip" install -q --require-hashes -r requirements/uv.txt
chroot "$work/root" python3 -m venv --without-pip /opt/phalanx
site=$(chroot "$work/root" /opt/phalanx/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$work/tools/bin/uv" pip install -q --python-version 3.11 --python-platform x86_64-manylinux_2_28 --target "$work/root$site" \
    -c requirements/run.txt "$wheel[agent,hub]"
cat >"$work/root/usr/local/bin/phalanx" <<'SH'
#!/bin/sh
exec /opt/phalanx/bin/python -m phalanx.cli.main "$@"
SH
chmod 755 "$work/root/usr/local/bin/phalanx"
chroot "$work/root" useradd --system --no-create-home --shell /usr/sbin/nologin phalanx

container=$(buildah from scratch)
buildah add -q "$container" "$work/root" /
buildah config --entrypoint '["/usr/local/bin/phalanx"]' --cmd '--help' --user phalanx --port 7430 \
    --label org.opencontainers.image.title=phalanx --label "org.opencontainers.image.version=$version" \
    --label org.opencontainers.image.licenses=Apache-2.0 "$container"
buildah commit -q --rm "$container" "$name"
buildah push -q "$name" "oci-archive:dist/phalanx-image.tar:$name"
echo "$name: $(du -h dist/phalanx-image.tar | cut -f1) in dist/phalanx-image.tar"
