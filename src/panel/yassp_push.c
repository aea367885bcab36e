#include "panel/yassp_push.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "panel/http.h"
#include "panel/yassp.h"

#define TRIES	   3
#define RETRY	   (5 * NSEC_SEC)
#define TIMEOUT_MS 10000L
#define URL_ROOM   4096

struct yassp_push {
	struct panel *panel;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
};

/* What is to be sent where: copies, as it takes its time. */
struct delivery {
	int64_t node;
	char url[URL_ROOM], etag[RESOURCE_TAG];
	char *body;
	size_t len;
};

/* Is something new for this node?  What it had when we started is not. */
static bool is_due(struct roster_node *n, nsec_t now)
{
	struct node_memory *m = &n->memory;

	if (!m->told_etag[0])
		memcpy(m->told_etag, n->profiles.etag, sizeof(m->told_etag));
	return strcmp(m->told_etag, n->profiles.etag) != 0 && now >= m->tell_at;
}

/* The next list to deliver; false: none now.  Under the read lock. */
static bool delivery_find(struct panel *p, struct delivery *d)
{
	for (size_t i = 0; i < p->roster.n_nodes; i++) {
		struct roster_node *n = &p->roster.nodes[i];
		const char *url =
			json_string_value(json_object_get(n->node.settings, "yassp_push"));
		const char *host =
			json_string_value(json_object_get(n->node.settings, "yassp_host"));

		if (!url || !*url || strlen(url) >= sizeof(d->url) || !host ||
		    yassp_node(&p->roster, host) != n ||
		    yassp_profiles(&p->roster, n, wall_now()) < 0 || !is_due(n, mono_now()))
			continue;
		d->body = malloc(n->profiles.len);
		if (!d->body)
			return false;
		d->node = n->node.id;
		d->len = n->profiles.len;
		memcpy(d->body, n->profiles.body, d->len);
		memcpy(d->url, url, strlen(url) + 1);
		memcpy(d->etag, n->profiles.etag, sizeof(d->etag));
		return true;
	}
	return false;
}

static size_t ignore(char *bytes, size_t size, size_t n, void *arg)
{
	return size * n;
}

static bool deliver(const struct delivery *d)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	CURL *c = curl_easy_init();
	long status = 0;

	if (c) {
		curl_easy_setopt(c, CURLOPT_URL, d->url);
		curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
		curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, d->body);
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)d->len);
		curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
		curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
		curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, ignore);
		if (curl_easy_perform(c) == CURLE_OK)
			curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_cleanup(c);
	}
	curl_slist_free_all(headers);
	return status >= 200 && status < 300;
}

/* Remember what became of it, unless the node has gone meanwhile. */
static void delivered(struct panel *p, const struct delivery *d, bool ok)
{
	struct roster_node *n;

	pthread_mutex_lock(&p->read_lock);
	n = roster_node(&p->roster, d->node);
	if (n && (ok || ++n->memory.tell_tries >= TRIES)) {
		memcpy(n->memory.told_etag, d->etag, sizeof(d->etag));
		n->memory.tell_tries = 0;
		n->memory.tell_at = 0;
	} else if (n) {
		n->memory.tell_at = mono_now() + RETRY;
	}
	pthread_mutex_unlock(&p->read_lock);
}

static bool deliver_next(struct panel *p)
{
	struct delivery d;
	bool found = false;

	pthread_mutex_lock(&p->read_lock);
	if (roster_nodes(&p->roster) == 0)
		found = delivery_find(p, &d);
	pthread_mutex_unlock(&p->read_lock);
	if (found) {
		delivered(p, &d, deliver(&d));
		free(d.body);
	}
	return found;
}

static void *run(void *arg)
{
	struct yassp_push *y = arg;
	struct timespec until;

	pthread_mutex_lock(&y->lock);
	while (!y->stop) {
		pthread_mutex_unlock(&y->lock);
		bool found = deliver_next(y->panel);

		pthread_mutex_lock(&y->lock);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++;
		if (!found && !y->stop)
			pthread_cond_timedwait(&y->wake, &y->lock, &until);
	}
	pthread_mutex_unlock(&y->lock);
	return NULL;
}

int yassp_push_start(struct panel *p, struct yassp_push **out)
{
	struct yassp_push *y = calloc(1, sizeof(*y));
	pthread_condattr_t attr;
	int err;

	if (!y)
		return -ENOMEM;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	y->panel = p;
	pthread_mutex_init(&y->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&y->wake, &attr);
	pthread_condattr_destroy(&attr);
	err = pthread_create(&y->thread, NULL, run, y);
	if (err) {
		free(y);
		return -err;
	}
	*out = y;
	return 0;
}

void yassp_push_stop(struct yassp_push *y)
{
	if (!y)
		return;
	pthread_mutex_lock(&y->lock);
	y->stop = true;
	pthread_cond_signal(&y->wake);
	pthread_mutex_unlock(&y->lock);
	pthread_join(y->thread, NULL);
	pthread_cond_destroy(&y->wake);
	pthread_mutex_destroy(&y->lock);
	free(y);
}
