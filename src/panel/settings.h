/* settings.h - what may stand in a node's `settings`: the fields of spec A.4.2 by their first name,
 * and a few of the panel's own.
 *
 *   push_interval, pull_interval, device_online_min_traffic, node_report_min_traffic: base_config
 *   options:    object, node options of the local file (ListenIP, LimitConfig, …)
 *   extra:      object, sent as it is: for fields that this table does not know
 *   user_usage: send u, d and transfer_enable with every user (they change with every report)
 *   yassp_host, yassp_psk, yassp_push: the YaSSP host of a shadowsocks node (yassp.h), and where it
 * wants to be told of changes
 */
#ifndef WEIR_PANEL_SETTINGS_H
#define WEIR_PANEL_SETTINGS_H

#include <jansson.h>

#include "base/base.h"
#include "panel/fault.h"

/* Where a setting goes in the answer to action=config. */
enum setting_place {
	SETTING_FLAT,
	SETTING_BASE, /* base_config */
	SETTING_OWN,  /* nowhere: it is for the panel, or has a place of its own */
};

/* Values are put into their kinds on the way ("2" becomes 2).  0 or -EINVAL. */
MUST_CHECK int settings_check(json_t *settings, struct fault *why);

enum setting_place setting_place(const char *key);

/* Make what can be made for `type` and is not there: REALITY's key pair and short id, the cipher
 * and key of Shadowsocks.  0, -EINVAL when something is missing that only people know, -ENOMEM.
 */
MUST_CHECK int settings_complete(json_t *settings, const char *type, struct fault *why);

/* RFC 7396 in place.  0 or -ENOMEM. */
MUST_CHECK int settings_merge(json_t *settings, json_t *patch);

#endif
