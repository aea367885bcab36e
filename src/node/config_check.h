/* config_check.h - what a text in the configuration must look like: the `check` of schema rows.
 *
 * Each returns NULL, or "what is wrong; what to do" to follow the quoted text.
 */
#ifndef WEIR_NODE_CONFIG_CHECK_H
#define WEIR_NODE_CONFIG_CHECK_H

const char *check_ip(const char *text);
const char *check_cidr(const char *text);
const char *check_http_url(const char *text);
const char *check_listen(const char *text);	   /* ip:port */
const char *check_fallback_dest(const char *text); /* port, host:port, unix path */
const char *check_node_id(const char *text); /* a number out of bounds; other texts may be codes */
const char *check_node_type(const char *text);
const char *check_insecure_cipher(const char *text); /* of Shadowsocks */

#endif
