#!/bin/sh
# bare.sh [SUITE] - `./dev demo` and `./dev check` in a minimal Debian made for the purpose.
#
# Says how long each took; `./dev demo` with all that it installs may take 300 s.
#
# The system comes from debootstrap with the mirror that this machine uses, the tree is copied in and both
# commands run inside; nothing else is prepared, but for what makes this machine's network work in
# there too: name resolution, proxies and certificate authorities of its own.  Wants root.
# BARE_DIR keeps the system for another run, BARE_COMMANDS names other commands.
set -eu
cd "$(dirname "$0")/.."
suite=$1 mirror=$2
root=${BARE_DIR:-$(mktemp -d "${TMPDIR:-/var/tmp}/weir-bare.XXXXXX")}

leave() {
	for m in dev/pts dev proc sys; do
		if mountpoint -q "$root/$m"; then umount -l "$root/$m"; fi
	done
	[ -n "${BARE_DIR:-}" ] || rm -rf --one-file-system "$root"
}
trap leave EXIT
trap 'exit 1' INT TERM

[ -x "$root/usr/bin/apt-get" ] || debootstrap --variant=minbase "$suite" "$root" "$mirror"

for m in proc sys dev; do
	mount --rbind "/$m" "$root/$m" 2>/dev/null || mount -t "$m" "$m" "$root/$m" || :
done
[ -c "$root/dev/null" ] || mknod -m 666 "$root/dev/null" c 1 3
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
for f in /etc/apt/apt.conf.d/*proxy*; do
	[ ! -f "$f" ] || cp "$f" "$root/etc/apt/apt.conf.d/"
done
if ls /usr/local/share/ca-certificates/*.crt >/dev/null 2>&1; then
	mkdir -p "$root/usr/local/share/ca-certificates"
	cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
fi

rm -rf "$root/weir"
mkdir "$root/weir"
git ls-files -co --exclude-standard -z | tar -c --null -T - | tar -x -C "$root/weir"

# The root of a mount namespace of its own: inside of a chroot nobody may make user namespaces, which
# tests of name servers want.
# shellcheck disable=SC2016 # for the other shell
become='mount --rbind "$1" "$1"
cd "$1"
pivot_root . mnt
umount -l /mnt
cd /weir
exec ./dev "$2"'

for command in ${BARE_COMMANDS:-demo check}; do
	echo "bare: ./dev $command on a minimal $suite" >&2
	began=$(date +%s)
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
		${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"} \
		${no_proxy:+"no_proxy=$no_proxy"} ${GOPROXY:+"GOPROXY=$GOPROXY"} \
		unshare -m --propagation private sh -euc "$become" sh "$root" "$command" </dev/null
	took=$(($(date +%s) - began))
	echo "bare: ./dev $command took $took s" >&2
	if [ "$command" = demo ] && [ "$took" -gt 300 ]; then
		echo "bare: a newcomer is promised ./dev demo in 300 s" >&2
		exit 1
	fi
done
echo "bare: both hold on $suite" >&2
