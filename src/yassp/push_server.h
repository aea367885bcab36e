/* push_server.h - where a panel may push its list: POST /instances?token=, GET / (spec D.4).
 *
 * libmicrohttpd, driven by the control loop: no thread of its own, so that a push and a pull never
 * meet.  At most 32 connections, each with 10 s for its request.
 *
 * Threads: control only.
 */
#ifndef WEIR_YASSP_PUSH_SERVER_H
#define WEIR_YASSP_PUSH_SERVER_H

#include "net/addr.h"
#include "yassp/yassp.h"

struct push_server;

/* 0 or -errno (the port is busy). */
MUST_CHECK int push_server_start(struct loop *l, struct yassp *y, const struct yassp_conf *conf,
				 struct push_server **out);

/* Where it listens: the port may have been left to the kernel. */
void push_server_at(const struct push_server *p, struct addr *out);

/* Before yassp_free().  NULL is fine. */
void push_server_stop(struct push_server *p);

#endif
