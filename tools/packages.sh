#!/bin/sh
# packages.sh build|test|bench - install from Debian's packages what is missing, and nothing when all is there.
# "NAME" is a package; "NAME=PROGRAM" one that is not needed where PROGRAM exists already.
set -eu

build="make gcc libc6-dev meson ninja-build=ninja pkg-config=pkg-config python3=python3
	libcrypt-dev libcurl4-openssl-dev libgsasl-dev libidn2-dev libjansson-dev libpam0g-dev libpcre2-dev libpsl-dev libseccomp-dev libsodium-dev libsqlite3-dev libssl-dev libunbound-dev libuv1-dev"
test="$build libcmocka-dev clang-format=clang-format curl=curl fetchmail=fetchmail git=git gsasl=gsasl iproute2=ip libnet-ssleay-perl
	mpop=mpop msmtp=msmtp nodejs=node openssl=openssl python3-cryptography strace=strace swaks=swaks util-linux"

case ${1:-} in
	build) wanted=$build ;;
	test) wanted=$test ;;
	bench) wanted="$build debootstrap openssl iproute2=ip strace" ;;
	*) echo "usage: $0 build|test|bench" >&2; exit 64 ;;
esac

is_there() {
	case $1 in
		*=*) command -v "${1#*=}" >/dev/null 2>&1 && return 0 ;;
	esac
	[ "$(dpkg-query -W -f '${db:Status-Status}\n' "${1%%=*}" 2>/dev/null | head -n 1)" = installed ]
}

missing=
for each in $wanted; do
	is_there "$each" || missing="$missing ${each%%=*}"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null 2>&1 || {
		echo "missing packages, to be installed as root:$missing" >&2
		exit 77
	}
	as_root=sudo
fi
echo "installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
	# shellcheck disable=SC2086
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 \
		install --no-install-recommends $missing >"$log" 2>&1 </dev/null
}
# The lists may be missing or old: they are fetched only when the first try shows it.
install || { $as_root apt-get -q update >"$log" 2>&1 && install; } || {
	cat "$log" >&2
	exit 1
}
