#include "node/inbound_tls.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "tls/self_signed.h"

#define DOMAINS_MAX 16

static int64_t mode_of_text(const char *text)
{
	static const struct {
		const char *name;
		int64_t mode;
	} modes[] = {
		{"none", CONFIG_CERT_NONE}, {"file", CONFIG_CERT_FILE}, {"http", CONFIG_CERT_HTTP},
		{"dns", CONFIG_CERT_DNS},   {"self", CONFIG_CERT_SELF},
	};

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		if (!strcasecmp(text, modes[i].name))
			return modes[i].mode;
	}
	return CONFIG_CERT_NONE;
}

/* The file's word, else the panel's. */
static int64_t cert_mode(const struct config_node *conf, const struct node_info *info)
{
	const struct config_cert *own = &conf->cert;

	if (conf_is_set(&config_cert_schema, own, mode))
		return own->mode;
	if (info->remote.set & REMOTE_CERT_MODE)
		return mode_of_text(info->remote.cert_mode);
	return info->cert.mode ? mode_of_text(info->cert.mode) : own->mode;
}

bool inbound_tls_in_clear(const struct config_node *conf, const struct node_info *info)
{
	return info->security == SECURITY_TLS && cert_mode(conf, info) == CONFIG_CERT_NONE;
}

/* CertDomain, else what the panel calls the node; may be a list. */
static const char *domain_text(const struct inbound_plan *p)
{
	const struct node_info *info = p->info;

	if (*p->conf->cert.domain)
		return p->conf->cert.domain;
	if (info->remote.set & REMOTE_CERT_DOMAIN)
		return info->remote.cert_domain;
	if (info->tls.server_name)
		return info->tls.server_name;
	if (info->tls.server_names.n)
		return info->tls.server_names.v[0];
	if (info->server_name)
		return info->server_name;
	return info->host ? info->host : "";
}

struct domains {
	char mem[1024];
	char *v[DOMAINS_MAX];
	unsigned n;
};

static void split_domains(const struct inbound_plan *p, struct domains *d)
{
	char *rest = d->mem, *one;

	d->n = 0;
	snprintf(d->mem, sizeof(d->mem), "%s", domain_text(p));
	while (d->n < DOMAINS_MAX && (one = strsep(&rest, ", \t")))
		if (*one)
			d->v[d->n++] = one;
	if (d->n == 0) {
		snprintf(d->mem, sizeof(d->mem), "localhost");
		d->v[d->n++] = d->mem;
	}
}

static int paths(const struct inbound_plan *p, const char *domain, char cert[PATH_MAX],
		 char key[PATH_MAX])
{
	int err = config_cert_path(p->file, p->conf, domain, false, cert, PATH_MAX);

	return err ? err : config_cert_path(p->file, p->conf, domain, true, key, PATH_MAX);
}

static void make_folder(const char *file)
{
	char dir[PATH_MAX];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", file);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return;
	*slash = '\0';
	mkdir(dir, 0700); /* there already, or writing the file says why not */
}

static int make_missing(const char *domain, const char *cert, const char *key,
			char why[INBOUND_WHY_MAX])
{
	int err;

	if (!access(cert, F_OK) && !access(key, F_OK))
		return 0;
	make_folder(cert);
	make_folder(key);
	err = self_signed_files(domain, cert, key);
	if (err)
		return inbound_wrong(why, "cannot make a certificate at %.150s: %s", cert,
				     err_text(err));
	log_msg(LOG_INFO, "cert", "made a self-signed certificate for %s: %s", domain, cert);
	return 0;
}

static int load(const struct inbound_plan *p, struct cert_store *cs, bool self,
		char why[INBOUND_WHY_MAX])
{
	char cert[PATH_MAX], key[PATH_MAX];
	struct domains d;
	int err = 0;

	split_domains(p, &d);
	for (unsigned i = 0; i < d.n && !err; i++) {
		err = paths(p, d.v[i], cert, key);
		if (!err && self)
			err = make_missing(d.v[i], cert, key, why);
		if (!err)
			err = cert_store_add_files(cs, cert, key, why, INBOUND_WHY_MAX);
		if (!strstr(p->conf->cert.cert_file, "{domain}") && *p->conf->cert.cert_file)
			break; /* one file for all names */
	}
	return err;
}

#define ALPN_MAX 8

static struct tls_server_conf *make_conf(const struct inbound_plan *p, struct cert_store *cs,
					 char why[INBOUND_WHY_MAX])
{
	static const char *const usual[] = {"h2", "http/1.1", NULL}; /* as Xray's servers offer */
	const char *alpn[ALPN_MAX + 1] = {0};
	struct tls_server_options o = {
		.certs = cs,
		.alpn = usual,
		.min_version = p->conf->tls_min_version == 13 ? 0x0304 : 0x0303,
		.tickets = (unsigned)p->conf->tls_tickets,
		.own_handshake = p->conf->tls_handshake == CONFIG_HANDSHAKE_OWN,
		.reject_unknown_sni =
			p->conf->cert.reject_unknown_sni || p->info->tls.reject_unknown_sni,
		.ticket_key = p->ticket_key,
	};

	for (size_t i = 0; i < MIN(p->info->tls.alpn.n, (size_t)ALPN_MAX); i++) {
		alpn[i] = p->info->tls.alpn.v[i];
		o.alpn = alpn;
	}
	return tls_server_conf_new(&o, why, INBOUND_WHY_MAX);
}

int inbound_tls(const struct inbound_plan *p, struct tls_server_conf **out,
		char why[INBOUND_WHY_MAX])
{
	int64_t mode = cert_mode(p->conf, p->info);
	struct tls_server_conf *conf = NULL;
	struct cert_store *cs;
	int err;

	if (p->info->security != SECURITY_TLS || mode == CONFIG_CERT_NONE) {
		if (p->info->security == SECURITY_TLS)
			log_msg(LOG_WARN, "cert",
				"%s: CertMode none: serving in clear, for a TLS terminator in front; "
				"without one clients fail: set CertConfig.CertMode to self or file",
				p->conf->name);
		*out = NULL;
		return 0;
	}
	if (mode != CONFIG_CERT_FILE && mode != CONFIG_CERT_SELF)
		return inbound_wrong(why, "CertMode: ACME is not in this build; use file or self");
	cs = cert_store_new();
	if (!cs)
		return -ENOMEM;
	err = load(p, cs, mode == CONFIG_CERT_SELF, why);
	if (!err && !(conf = make_conf(p, cs, why)))
		err = -ERR_CONFIG;
	cert_store_put(cs);
	if (!err)
		*out = conf;
	return err;
}

static uint64_t stamp_of(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return 0;
	return (uint64_t)st.st_mtim.tv_sec * 1000000007u + (uint64_t)st.st_mtim.tv_nsec +
	       (uint64_t)st.st_ino * 31u + (uint64_t)st.st_size;
}

uint64_t inbound_tls_stamp(const struct inbound_plan *p)
{
	char cert[PATH_MAX], key[PATH_MAX];
	struct domains d;
	uint64_t sum = 0;

	if (p->info->security != SECURITY_TLS || cert_mode(p->conf, p->info) == CONFIG_CERT_NONE)
		return 0;
	split_domains(p, &d);
	for (unsigned i = 0; i < d.n; i++) {
		if (!paths(p, d.v[i], cert, key))
			sum = sum * 1099511628211u + stamp_of(cert) + 3 * stamp_of(key);
	}
	return sum;
}
