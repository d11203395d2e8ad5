#include "injector/kubeconfig.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "injector/kubeconfig_parts.h"
#include "proto/base/buf.h"
#include "proto/base/mem.h"

/* Each row writes real files into a fresh folder, which every text calls "@", loads, and compares
 * what came out: "key=value" of all that is set, in a fixed order, or "ERRNO class message". */
struct row {
	const char *name;
	struct {
		const char *path, *text;
	} files[4];
	const char *kubeconfig; /* environment; NULL: unset, HOME is "@" */
	struct pg_kube_flags flags;
	const char *want;
};

#define PEM(body) "-----BEGIN CERTIFICATE-----\n" body "\n-----END CERTIFICATE-----\n"
/* base64 of PEM("CA"), of PEM("CERT"), of PEM("KEY") */
#define CA64   "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkNBCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K"
#define CERT64 "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkNFUlQKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="
#define KEY64  "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCktFWQotLS0tLUVORCBDRVJUSUZJQ0FURS0tLS0tCg=="

#define ONE(cluster, user)                                                           \
	"apiVersion: v1\nkind: Config\ncurrent-context: dev\n"                       \
	"contexts: [{name: dev, context: {cluster: c, user: u, namespace: shop}}]\n" \
	"clusters: [{name: c, cluster: {" cluster "}}]\nusers: [{name: u, user: {" user "}}]\n"
#define SERVER "server: 'https://a:6443'"
#define EXEC(version, rest) \
	"exec: {apiVersion: client.authentication.k8s.io/" version ", command: p" rest "}"
#define AT(yaml) { { "config", yaml } }, "@/config"
#define DEV      "context=dev namespace=shop server=https://a:6443"

static struct row rows[] = {
	/* finding and merging */
	{ "plain", AT(ONE(SERVER, "token: abc")), { 0 }, DEV " token=abc" },
	{ "JSON",
	  AT("{\"current-context\":\"d\",\"contexts\":[{\"name\":\"d\",\"context\":{\"cluster\":"
	     "\"c\"}}],\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":\"https://a\"}}]}"),
	  { 0 },
	  "context=d namespace=default server=https://a" },
	{ "home",
	  { { ".kube/config", ONE(SERVER, "token: abc") } },
	  NULL,
	  { 0 },
	  DEV " token=abc" },
	{ "empty KUBECONFIG means home", { { ".kube/config", ONE(SERVER, "") } }, "", { 0 }, DEV },
	{ "flag wins over KUBECONFIG",
	  { { "config", ONE(SERVER, "token: env") }, { "other", ONE(SERVER, "token: flag") } },
	  "@/config",
	  { .kubeconfig = "@/other" },
	  DEV " token=flag" },
	{ "flag names no file",
	  AT(ONE(SERVER, "")),
	  { .kubeconfig = "@/none" },
	  "ENOENT usage --kubeconfig: read '@/none': No such file" },
	{ "missing files are skipped",
	  { { "config", ONE(SERVER, "") } },
	  "@/no::@/config:@/config",
	  { 0 },
	  DEV },
	{ "all missing",
	  { { "x", "" } },
	  "@/no:@/not",
	  { 0 },
	  "ENOENT cluster no kubeconfig: @/no, @/not not found" },
	{ "nothing anywhere",
	  { { "x", "" } },
	  NULL,
	  { 0 },
	  "ENOENT cluster no kubeconfig: @/.kube/config not found" },
	{ "a folder is no file",
	  { { ".kube/x", "" } },
	  "@/.kube",
	  { 0 },
	  "EISDIR cluster kubeconfig: read '@/.kube': Is a directory" },
	{ "no YAML", AT("clusters: [\n"), { 0 }, "EINVAL cluster kubeconfig @/config: line 2: " },
	{ "no mapping",
	  AT("- a\n"),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: this is no mapping" },
	{ "other kind",
	  AT("kind: Pod\napiVersion: v1\n"),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: this is not of kind Config" },
	{ "empty files count as nothing",
	  { { "a", "" }, { "config", ONE(SERVER, "") } },
	  "@/a:@/config",
	  { 0 },
	  DEV },
	{ "first file wins, as a whole, entry by entry",
	  { { "a", "users: [{name: u, user: {token: first}}]\ncurrent-context: ''\n"
		   "clusters: [{name: c, cluster: {server: 'https://first'}}]\n" },
	    { "b", ONE("server: 'https://second', tls-server-name: second",
		       "token: second, as: second") } },
	  "@/a:@/b",
	  { 0 },
	  "context=dev namespace=shop server=https://first token=first" },
	{ "first current-context wins",
	  { { "a", "current-context: other\n" },
	    { "b", ONE(SERVER, "") },
	    { "c", "contexts: [{name: other, context: {cluster: c, namespace: far}}]" } },
	  "@/a:@/b:@/c",
	  { 0 },
	  "context=other namespace=far server=https://a:6443" },
	{ "twice in one file",
	  AT("users: [{name: a, user: {}}, {name: a, user: {}}]"),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: user 'a' is there twice" },
	{ "entry without name",
	  AT("users: [{user: {}}]"),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: users must be a list of entries" },
	{ "relative to the file that holds it",
	  { { "sub/config",
	      ONE(SERVER ", certificate-authority: pki/ca.pem", "tokenFile: ../tok") },
	    { "sub/pki/ca.pem", PEM("CA") },
	    { "tok", "x" } },
	  "@/sub/config",
	  { 0 },
	  DEV " ca=CA token_file=@/sub/../tok" },
	/* contexts */
	{ "context by flag",
	  AT(ONE(SERVER, "") "extensions: []\npreferences: {}\n"),
	  { .context = "dev" },
	  DEV },
	{ "no such context by flag",
	  AT(ONE(SERVER, "")),
	  { .context = "prod" },
	  "ENOENT usage no context 'prod' in the kubeconfig | choose one of these with --context: "
	  "dev" },
	{ "no such current-context",
	  AT("current-context: gone\n"),
	  { 0 },
	  "ENOENT cluster no context 'gone' in the kubeconfig | there is no context at all" },
	{ "no current-context",
	  AT("contexts: [{name: a, context: {}}]"),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: no current context | choose one with --context: a" },
	{ "context names no known cluster",
	  AT("current-context: a\ncontexts: [{name: a, context: {cluster: x}}]"),
	  { 0 },
	  "ENOENT cluster no cluster 'x' in the kubeconfig | there is no cluster" },
	{ "cluster and user by flag",
	  AT("clusters: [{name: c, cluster: {server: 'https://c'}}]\n"
	     "users: [{name: u, user: {token: t}}]"),
	  { .cluster = "c", .user = "u" },
	  "namespace=default server=https://c token=t" },
	{ "no such user by flag",
	  AT(ONE(SERVER, "")),
	  { .user = "root" },
	  "ENOENT usage no user 'root' in the kubeconfig | choose one of these with --user: u" },
	{ "namespace by flag",
	  AT(ONE(SERVER, "")),
	  { .namespace_ = "prod" },
	  "context=dev namespace=prod server=https://a:6443" },
	{ "no legal namespace",
	  AT(ONE(SERVER, "")),
	  { .namespace_ = "a/b" },
	  "EINVAL usage 'a/b' cannot be a namespace" },
	{ "number as namespace",
	  AT("current-context: a\ncontexts: [{name: a, context: {namespace: 1}}]"),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: context 'a': namespace must be text (put it" },
	/* clusters */
	{ "CA data",
	  AT(ONE(SERVER ", certificate-authority-data: " CA64, "")),
	  { 0 },
	  DEV " ca=CA" },
	{ "CA as file and data",
	  AT(ONE(SERVER ", certificate-authority: x, certificate-authority-data: " CA64, "")),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: cluster 'c': certificate-authority and "
	  "certificate-authority-data are both given" },
	{ "CA file missing",
	  AT(ONE(SERVER ", certificate-authority: gone.pem", "")),
	  { 0 },
	  "ENOENT cluster kubeconfig @/config: cluster 'c': certificate-authority: read "
	  "'@/gone.pem'" },
	{ "CA is no base64",
	  AT(ONE(SERVER ", certificate-authority-data: '#'", "")),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: cluster 'c': certificate-authority-data is not "
	  "base64" },
	{ "CA is no PEM",
	  AT(ONE(SERVER ", certificate-authority-data: aGVsbG8=", "")),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: cluster 'c': certificate-authority-data holds no "
	  "PEM" },
	{ "insecure",
	  AT(ONE(SERVER ", insecure-skip-tls-verify: true", "")),
	  { 0 },
	  DEV " insecure" },
	{ "CA and insecure",
	  AT(ONE(SERVER ", insecure-skip-tls-verify: true, certificate-authority-data: " CA64, "")),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: cluster 'c': a certificate-authority and" },
	{ "insecure by flag replaces the CA",
	  AT(ONE(SERVER ", certificate-authority-data: " CA64, "")),
	  { .insecure_skip_tls_verify = true },
	  DEV " insecure" },
	{ "CA by flag replaces insecure",
	  { { "config", ONE(SERVER ", insecure-skip-tls-verify: true", "") },
	    { "ca", PEM("FLAG") } },
	  "@/config",
	  { .certificate_authority = "@/ca" },
	  DEV " ca=FLAG" },
	{ "CA and insecure by flag",
	  { { "config", ONE(SERVER, "") }, { "ca", PEM("FLAG") } },
	  "@/config",
	  { .certificate_authority = "@/ca", .insecure_skip_tls_verify = true },
	  "EINVAL usage --certificate-authority and --insecure-skip-tls-verify exclude" },
	{ "CA by flag missing",
	  AT(ONE(SERVER, "")),
	  { .certificate_authority = "@/gone" },
	  "ENOENT usage --certificate-authority: read '@/gone': No such file" },
	{ "insecure must be a boolean",
	  AT(ONE(SERVER ", insecure-skip-tls-verify: 'yes'", "")),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: cluster 'c': insecure-skip-tls-verify must be true "
	  "or" },
	{ "TLS name", AT(ONE(SERVER ", tls-server-name: b", "")), { 0 }, DEV " tls=b" },
	{ "server by flag drops the TLS name",
	  AT(ONE(SERVER ", tls-server-name: b", "")),
	  { .server = "https://s/" },
	  "context=dev namespace=shop server=https://s" },
	{ "both by flag",
	  AT(ONE(SERVER ", tls-server-name: b", "")),
	  { .server = "https://s", .tls_server_name = "t" },
	  "context=dev namespace=shop server=https://s tls=t" },
	{ "server by flag alone",
	  { { "x", "" } },
	  NULL,
	  { .server = "https://s", .token = "t" },
	  "namespace=default server=https://s token=t" },
	{ "path prefix",
	  AT(ONE("server: 'https://a/k8s/c-1/'", "")),
	  { 0 },
	  "context=dev namespace=shop server=https://a/k8s/c-1" },
	{ "no scheme, no TLS: http without credentials",
	  AT(ONE("server: 'a:80'", "token: t")),
	  { 0 },
	  "context=dev namespace=shop server=http://a:80" },
	{ "no scheme, TLS meant: https",
	  AT(ONE("server: 'a:80', insecure-skip-tls-verify: true", "token: t")),
	  { 0 },
	  "context=dev namespace=shop server=https://a:80 insecure token=t" },
	{ "scheme in capitals",
	  AT(ONE("server: 'HTTPS://a'", "")),
	  { 0 },
	  "context=dev namespace=shop server=https://a" },
	{ "no URL",
	  AT(ONE("server: 'ftp://a'", "")),
	  { 0 },
	  "EINVAL cluster server 'ftp://a' is no http or https URL" },
	{ "no host", AT(ONE("server: 'https://'", "")), { 0 }, "EINVAL cluster server 'https://" },
	{ "line break in the URL",
	  AT(ONE("server: \"https://a\\r\\nX: y\"", "")),
	  { 0 },
	  "EINVAL cluster server 'https://a" },
	{ "no server",
	  AT(ONE("", "")),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: cluster 'c': server is missing" },
	{ "proxy",
	  AT(ONE(SERVER ", proxy-url: 'socks5://p:1080'", "")),
	  { 0 },
	  DEV " proxy=socks5://p:1080" },
	{ "proxy of no known kind",
	  AT(ONE(SERVER ", proxy-url: 'ssh://p'", "")),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: cluster 'c': proxy-url 'ssh://p' must begin" },
	/* users */
	{ "certificate data",
	  AT(ONE(SERVER, "client-certificate-data: " CERT64 ", client-key-data: " KEY64)),
	  { 0 },
	  DEV " cert=CERT key=KEY" },
	{ "certificate as data, key as file",
	  { { "config", ONE(SERVER, "client-certificate-data: " CERT64 ", client-key: key.pem") },
	    { "key.pem", PEM("KEYFILE") } },
	  "@/config",
	  { 0 },
	  DEV " cert=CERT key=KEYFILE" },
	{ "certificate without key",
	  AT(ONE(SERVER, "client-certificate-data: " CERT64)),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: user 'u': client-certificate is given without" },
	{ "key alone is ignored", AT(ONE(SERVER, "client-key-data: " KEY64)), { 0 }, DEV },
	{ "key as file and data",
	  AT(ONE(SERVER, "client-key: x, client-key-data: " KEY64)),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: user 'u': client-key and client-key-data are both" },
	{ "certificate by flags",
	  { { "config",
	      ONE(SERVER, "client-certificate-data: " CERT64 ", client-key-data: " KEY64) },
	    { "c", PEM("FC") },
	    { "k", PEM("FK") } },
	  "@/config",
	  { .client_certificate = "@/c", .client_key = "@/k" },
	  DEV " cert=FC key=FK" },
	{ "certificate by flag without key",
	  { { "config", ONE(SERVER, "") }, { "c", PEM("FC") } },
	  "@/config",
	  { .client_certificate = "@/c" },
	  "EINVAL usage a client certificate and its" },
	{ "token and certificate",
	  AT(ONE(SERVER, "token: t, client-certificate-data: " CERT64 ", client-key-data: " KEY64)),
	  { 0 },
	  DEV " cert=CERT key=KEY token=t" },
	{ "token and token file",
	  { { "config", ONE(SERVER, "token: t, tokenFile: tok") }, { "tok", "x" } },
	  "@/config",
	  { 0 },
	  DEV " token=t token_file=@/tok" },
	{ "token file missing",
	  AT(ONE(SERVER, "tokenFile: gone")),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: user 'u': cannot read tokenFile '@/gone': No such" },
	{ "token by flag",
	  { { "config", ONE(SERVER, "token: t, tokenFile: tok") }, { "tok", "x" } },
	  "@/config",
	  { .token = "mine" },
	  DEV " token=mine" },
	{ "token with a line break",
	  AT(ONE(SERVER, "token: \"a\\nb\"")),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: user 'u': token holds a space or control" },
	{ "token by flag with a line break",
	  AT(ONE(SERVER, "")),
	  { .token = "a\n" },
	  "EINVAL usage --token holds a space or control" },
	{ "number as token",
	  AT(ONE(SERVER, "token: 123")),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: user 'u': token must be text" },
	{ "basic",
	  AT(ONE(SERVER, "username: me, password: pw")),
	  { 0 },
	  DEV " username=me password=pw" },
	{ "basic and token",
	  AT(ONE(SERVER, "username: me, password: pw, token: t")),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: user 'u': a token and username/password are both" },
	{ "impersonation",
	  AT(ONE(SERVER, "as: jane, as-uid: '7', as-groups: [dev, ops], "
			 "as-user-extra: {scopes: [a, b], reason: [c=d]}")),
	  { 0 },
	  DEV " as=jane as_uid=7 group=dev group=ops extra=scopes=a extra=scopes=b "
	      "extra=reason=c=d" },
	{ "impersonation by flags",
	  AT(ONE(SERVER, "as: jane, as-groups: [dev]")),
	  { .as = "joe", .as_uid = "8", .as_groups = (const char *const[]){ "x", "y", NULL } },
	  DEV " as=joe as_uid=8 group=x group=y" },
	{ "group without user",
	  AT(ONE(SERVER, "")),
	  { .as_groups = (const char *const[]){ "x", NULL } },
	  "EINVAL usage impersonating a uid or a group needs a user | give --as USER too" },
	{ "extra must hold lists",
	  AT(ONE(SERVER, "as: jane, as-user-extra: {a: [1]}")),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: user 'u': as-user-extra must map" },
	/* exec plugins */
	{ "exec v1",
	  AT(ONE(SERVER, EXEC("v1", ", interactiveMode: Never, args: [a, 'b c'], "
				    "env: [{name: A, value: b}, {name: C}]"))),
	  { 0 },
	  DEV " exec=p mode=Never arg=a arg=b c env=A=b env=C=" },
	{ "exec v1beta1 has a default mode",
	  AT(ONE(SERVER, EXEC("v1beta1", ""))),
	  { 0 },
	  DEV " exec=p mode=IfAvailable" },
	{ "exec v1 wants a mode",
	  AT(ONE(SERVER, EXEC("v1", ""))),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: user 'u': exec: interactiveMode is missing" },
	{ "exec of no known mode",
	  AT(ONE(SERVER, EXEC("v1", ", interactiveMode: Maybe"))),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: user 'u': exec: interactiveMode 'Maybe' is none" },
	{ "exec v1alpha1 is gone",
	  AT(ONE(SERVER, EXEC("v1alpha1", ""))),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: user 'u': exec: apiVersion 'client.auth" },
	{ "exec without command",
	  AT(ONE(SERVER, "exec: {apiVersion: v1}")),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: user 'u': exec: command is missing" },
	{ "exec with a bad env",
	  AT(ONE(SERVER, EXEC("v1beta1", ", env: [{value: x}]"))),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: user 'u': exec: env must be a list" },
	{ "exec command relative to the file",
	  AT(ONE(SERVER, "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: bin/p, "
			 "installHint: get it}")),
	  { 0 },
	  DEV " exec=@/bin/p mode=IfAvailable hint=get it" },
	{ "exec with the cluster's extension",
	  AT(ONE(SERVER ", extensions: [{name: other, extension: 1}, {name: "
			"client.authentication.k8s.io/exec, extension: {audience: x, n: 1}}]",
		 EXEC("v1beta1", ", provideClusterInfo: true"))),
	  { 0 },
	  DEV " exec=p mode=IfAvailable cluster={\"audience\":\"x\",\"n\":1}" },
	{ "exec gives way to a token",
	  AT(ONE(SERVER, "token: t, " EXEC("v1beta1", ""))),
	  { 0 },
	  DEV " token=t" },
	{ "exec and auth-provider",
	  AT(ONE(SERVER, EXEC("v1beta1", "") ", auth-provider: {name: oidc}")),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: user 'u': exec and auth-provider are both" },
	{ "auth-provider gcp",
	  AT(ONE(SERVER, "auth-provider: {name: gcp}")),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: user 'u': auth-provider 'gcp' is no longer" },
	{ "auth-provider oidc", /* {"exp":4102444800}: the year 2100 */
	  AT(ONE(SERVER, "auth-provider: {name: oidc, config: {id-token: "
			 "e30.eyJleHAiOjQxMDI0NDQ4MDB9.c2ln}}")),
	  { 0 },
	  DEV " token=e30.eyJleHAiOjQxMDI0NDQ4MDB9.c2ln" },
	{ "auth-provider oidc, expired", /* {"exp":1000} */
	  AT(ONE(SERVER,
		 "auth-provider: {name: oidc, config: {id-token: e30.eyJleHAiOjEwMDB9.c2ln}}")),
	  { 0 },
	  "EINVAL cluster kubeconfig @/config: user 'u': auth-provider oidc holds no valid" },
};

static char folder[] = "/tmp/podgraft-kubeconfig-XXXXXX";

/* `text` with each "@" replaced by the folder; good for the seven next calls. */
static const char *at(const char *text)
{
	static char ring[8][4096];
	static size_t turn;
	char *out = ring[turn++ % PG_LEN(ring)];
	size_t n = 0;
	if (!text)
		return NULL;
	for (; *text; text++) {
		assert_true(n + sizeof(folder) < sizeof(ring[0]));
		if (*text == '@')
			memcpy(out + n, folder, strlen(folder));
		else
			out[n] = *text;
		n += *text == '@' ? strlen(folder) : 1;
	}
	out[n] = '\0';
	return out;
}

static void fresh_folder(void)
{
	memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
	assert_non_null(mkdtemp(folder));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int remove_folder(void **state)
{
	(void)state;
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void write_file(const char *path, const char *text)
{
	char full[256];
	snprintf(full, sizeof(full), "%s/%s", folder, path);
	for (char *slash = strchr(full + strlen(folder) + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	FILE *f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void add(struct pg_buf *b, const char *key, const char *value)
{
	if (value)
		pg_buf_addf(b, "%s%s=%s", b->len ? " " : "", key, value);
}

/* The line of a PEM text after its first. */
static void add_pem(struct pg_buf *b, const char *key, const char *pem)
{
	if (!pem)
		return;
	const char *body = strchr(pem, '\n') + 1;
	pg_buf_addf(b, " %s=%.*s", key, (int)strcspn(body, "\n"), body);
}

static void add_list(struct pg_buf *b, const char *key, char **list)
{
	for (; list && *list; list++)
		add(b, key, *list);
}

static void tell(const struct pg_kubeconfig *c, struct pg_buf *b)
{
	add(b, "context", c->context[0] ? c->context : NULL);
	add(b, "namespace", c->namespace_);
	add(b, "server", c->server);
	add(b, "tls", c->tls_server_name);
	if (c->insecure)
		pg_buf_add_str(b, " insecure");
	add_pem(b, "ca", c->ca_pem);
	add_pem(b, "cert", c->cert_pem);
	add_pem(b, "key", c->key_pem);
	add(b, "proxy", c->proxy_url);
	add(b, "token", c->token);
	add(b, "token_file", c->token_file);
	add(b, "username", c->username);
	add(b, "password", c->password);
	add(b, "as", c->as);
	add(b, "as_uid", c->as_uid);
	add_list(b, "group", c->as_groups);
	add_list(b, "extra", c->as_extra);
	if (!c->exec)
		return;
	add(b, "exec", c->exec->command);
	add(b, "mode", c->exec->interactive_mode);
	add(b, "hint", c->exec->install_hint);
	add_list(b, "arg", c->exec->args);
	add_list(b, "env", c->exec->env);
	add(b, "cluster", c->exec->cluster_config_json);
}

static void tell_error(const struct pg_err *err, struct pg_buf *b)
{
	const char *code = err->code == -EINVAL   ? "EINVAL"
			   : err->code == -ENOENT ? "ENOENT"
			   : err->code == -EISDIR ? "EISDIR"
						  : "?";
	pg_buf_addf(b, "%s %s %s | %s", code, pg_whose_name((enum pg_whose)err->whose), err->what,
		    err->hint);
	assert_true(err->hint[0] != '\0');
}

static void reset_environment(const struct row *row)
{
	unsetenv("KUBERNETES_SERVICE_HOST");
	unsetenv("POD_NAMESPACE");
	setenv("HOME", folder, 1);
	if (row->kubeconfig)
		setenv("KUBECONFIG", at(row->kubeconfig), 1);
	else
		unsetenv("KUBECONFIG");
}

static void loads(void **state)
{
	const struct row *row = *state;
	struct pg_kube_flags flags = row->flags;
	struct pg_kubeconfig c;
	struct pg_err err = { .code = 0 };
	struct pg_buf story = PG_BUF_INIT(1 << 16);
	fresh_folder();
	reset_environment(row);
	for (size_t i = 0; i < PG_LEN(row->files) && row->files[i].path; i++)
		write_file(row->files[i].path, row->files[i].text);
	flags.kubeconfig = at(flags.kubeconfig);
	flags.certificate_authority = at(flags.certificate_authority);
	flags.client_certificate = at(flags.client_certificate);
	flags.client_key = at(flags.client_key);
	int rc = pg_kubeconfig_load(&flags, &c, &err);
	if (rc < 0) {
		tell_error(&err, &story);
	} else {
		tell(&c, &story);
		pg_kubeconfig_fini(&c);
	}
	const char *want = at(row->want);
	if (rc < 0 && strlen(want) < story.len && strncmp(want, (char *)story.data, 7) == 0) {
		/* of a failure the row tells a beginning, and a part of the hint after " | " */
		const char *bar = strstr(want, " | ");
		size_t n = bar ? (size_t)(bar - want) : strlen(want);
		if (strncmp(want, (char *)story.data, n) != 0 ||
		    (bar && !strstr((char *)story.data, bar)))
			fail_msg("got:  %s\nwant: %s", story.data, want);
	} else {
		assert_string_equal((char *)story.data, want);
	}
	pg_buf_fini(&story);
}

/* In a pod: the service account's server, CA, token and namespace. */
static void runs_in_cluster(void **state)
{
	(void)state;
	struct pg_kubeconfig c = { .server = NULL };
	struct pg_buf story = PG_BUF_INIT(4096);
	fresh_folder();
	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	assert_false(pg_in_cluster(folder));
	write_file("token", "t");
	write_file("ca.crt", PEM("POD"));
	write_file("namespace", "team\n");
	assert_true(pg_in_cluster(folder));
	assert_int_equal(pg_in_cluster_config(folder, &c, NULL), 0);
	c.context = pg_strdup("");
	c.namespace_ = pg_in_cluster_namespace(folder);
	tell(&c, &story);
	assert_string_equal(
		(char *)story.data,
		at("namespace=team server=https://[fd00::1]:443 ca=POD token_file=@/token"));
	pg_kubeconfig_fini(&c);
	pg_buf_fini(&story);
	setenv("POD_NAMESPACE", "mine", 1);
	char *ns = pg_in_cluster_namespace(folder);
	assert_string_equal(ns, "mine");
	free(ns);
	unsetenv("POD_NAMESPACE");
	unsetenv("KUBERNETES_SERVICE_HOST");
}

/* Every allocation of ours fails once; what was made is freed, what comes out is whole. */
static void survives_a_lack_of_memory(void **state)
{
	(void)state;
	struct row row = { "",
			   AT(ONE(SERVER ", certificate-authority-data: " CA64,
				  "as: a, as-groups: [g], as-user-extra: {k: [v]}, " EXEC(
					  "v1beta1", ", args: [a], env: [{name: A}]"))),
			   { .context = NULL },
			   NULL };
	fresh_folder();
	reset_environment(&row);
	write_file("config", row.files[0].text);
	for (size_t n = 0; n < 1000; n++) {
		struct pg_kubeconfig c;
		struct pg_err err = { .code = 0 };
		pg_mem_fail_after(n);
		int rc = pg_kubeconfig_load(&row.flags, &c, &err);
		int failed = pg_mem_failed();
		pg_mem_fail_after((size_t)-1);
		if (rc == 0)
			pg_kubeconfig_fini(&c);
		if (!failed)
			return;
		assert_true(rc == 0 || rc == -ENOMEM || rc == -EINVAL);
	}
	fail_msg("it never came through");
}

int main(void)
{
	static struct CMUnitTest tests[PG_LEN(rows) + 2];
	for (size_t i = 0; i < PG_LEN(rows); i++)
		tests[i] =
			(struct CMUnitTest){ rows[i].name, loads, NULL, remove_folder, &rows[i] };
	tests[PG_LEN(rows)] =
		(struct CMUnitTest)cmocka_unit_test_teardown(runs_in_cluster, remove_folder);
	tests[PG_LEN(rows) + 1] = (struct CMUnitTest)cmocka_unit_test_teardown(
		survives_a_lack_of_memory, remove_folder);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
