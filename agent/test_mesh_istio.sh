#!/bin/sh -e
# The rules that istio-init makes in a pod: in REDIRECT mode, with nothing excluded.
#   test_mesh_istio.sh PROGRAM       iptables-nft, iptables-legacy, ip6tables-nft, ip6tables-legacy
program=$1
case $program in
ip6*) leg=::6/128 loopback=::1/128 ;;
*) leg=127.0.0.6/32 loopback=127.0.0.1/32 ;;
esac
nat() { "$program" -t nat "$@"; }
out() { nat -A ISTIO_OUTPUT "$@"; }

nat -N ISTIO_INBOUND
nat -N ISTIO_REDIRECT
nat -N ISTIO_IN_REDIRECT
nat -N ISTIO_OUTPUT
nat -A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN
nat -A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
nat -A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
nat -A PREROUTING -p tcp -j ISTIO_INBOUND
for port in 15090 15021 15020; do
	nat -A ISTIO_INBOUND -p tcp --dport $port -j RETURN
done
nat -A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT
nat -A OUTPUT -p tcp -j ISTIO_OUTPUT
out -s $leg -o lo -j RETURN
for who in --uid-owner --gid-owner; do
	out -o lo ! -d $loopback -p tcp ! --dport 15008 -m owner $who 1337 -j ISTIO_IN_REDIRECT
	out -o lo -m owner ! $who 1337 -j RETURN
	out -m owner $who 1337 -j RETURN
done
out -d $loopback -j RETURN
out -j ISTIO_REDIRECT
