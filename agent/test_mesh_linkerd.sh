#!/bin/sh -e
# The rules that linkerd-init makes in a pod: with the ports that it skips by itself.
#   test_mesh_linkerd.sh PROGRAM     iptables-nft, iptables-legacy, ip6tables-nft, ip6tables-legacy
program=$1
rule() {
	comment=$1
	shift
	"$program" -t nat "$@" -m comment --comment "proxy-init/$comment"
}

"$program" -t nat -N PROXY_INIT_REDIRECT
rule ignore-port-4190,4191,4567,4568 -A PROXY_INIT_REDIRECT -p tcp -m multiport --dports 4190,4191,4567,4568 -j RETURN
rule redirect-all-incoming-to-proxy-port -A PROXY_INIT_REDIRECT -p tcp -j REDIRECT --to-port 4143
rule install-proxy-init-prerouting -A PREROUTING -j PROXY_INIT_REDIRECT

"$program" -t nat -N PROXY_INIT_OUTPUT
rule ignore-proxy-user-id -A PROXY_INIT_OUTPUT -m owner --uid-owner 2102 -j RETURN
rule ignore-loopback -A PROXY_INIT_OUTPUT -o lo -j RETURN
rule ignore-port-4567,4568 -A PROXY_INIT_OUTPUT -p tcp -m multiport --dports 4567,4568 -j RETURN
rule redirect-all-outgoing-to-proxy-port -A PROXY_INIT_OUTPUT -p tcp -j REDIRECT --to-port 4140
rule install-proxy-init-output -A OUTPUT -j PROXY_INIT_OUTPUT
